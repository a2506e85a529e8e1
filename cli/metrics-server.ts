import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { errorTable, messageOf } from '../core/app-error.ts';
import { hostPortText, parseHostPort } from '../core/host-port.ts';
import { acceptsGzip, contentTypeOf, negotiatedFormat } from '../services/sinks/prometheus/negotiate.ts';
import type { Exposition } from './exposition.ts';

export const metricsError = errorTable({
  METRICS_LISTEN: {
    message: 'cannot serve metrics on {listen}: {cause}',
    retryable: false,
    remedy:
      'Another process may use the port, or the address is not of this machine. Name another one with --set metrics.listen=127.0.0.1:PORT, or off.',
    exitCode: 75,
  },
});

/** Scrapes that are answered at once; the next ones wait. */
const maxScrapes = 2;
/** Scrapes that wait; further ones are refused. */
const maxWaiting = 32;
/** A scraper that takes longer to read is cut off: Prometheus itself waits 10 s by default. */
const scrapeMs = 60_000;
/** A scraper that takes nothing for so long is cut off: others wait for its place. Less than what Prometheus waits. */
const stalledMs = 4_000;

/** Serves /metrics, /healthz and /readyz. @param maxStalledMs a scraper that takes nothing for so long is cut off */
export async function serveMetrics(
  listen: string,
  exposition: Exposition,
  ready: () => readonly string[],
  maxStalledMs = stalledMs,
): Promise<Server | undefined> {
  const address = parseHostPort(listen);
  if (address === undefined) return undefined;
  const scrapes = new Scrapes(exposition, maxStalledMs);
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/healthz') response.end('ok\n');
    else if (path === '/readyz') {
      const problems = ready();
      response.statusCode = problems.length === 0 ? 200 : 503;
      response.end(problems.length === 0 ? 'ok\n' : `${problems.join('\n')}\n`);
    } else if (path === '/metrics') {
      void scrapes.answer(request, response);
    } else {
      response.statusCode = 404;
      response.end('try /metrics, /healthz, /readyz\n');
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(metricsError('METRICS_LISTEN', { listen, cause: messageOf(cause) }, cause)));
    server.listen(address.port, address.host, resolve);
  });
  server.unref();
  return server;
}

/** Where a server listens: with port 0 of the configuration the one that was free. */
export function listensOn(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return hostPortText({ host: address, port });
}

/** Answers scrapes, a bounded number of them at once. */
class Scrapes {
  readonly #exposition: Exposition;
  readonly #maxStalledMs: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(exposition: Exposition, maxStalledMs: number) {
    this.#exposition = exposition;
    this.#maxStalledMs = maxStalledMs;
  }

  /** Does not reject: who goes away in the middle of an answer is nobody's failure. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#running < maxScrapes) this.#running++;
    else if (this.#waiting.length >= maxWaiting) {
      response.statusCode = 503;
      response.end(`${maxWaiting} scrapes wait already\n`);
      return;
    } else if (!(await this.#place(response))) return;
    try {
      await this.#write(request, response);
    } catch {
      response.destroy();
    } finally {
      // The place is handed on, if somebody waits for it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  /** Waits for a place. Returns false when the scraper went away before. */
  #place(response: ServerResponse): Promise<boolean> {
    return new Promise((resolve) => {
      const take = (): void => {
        response.off('close', leave);
        resolve(true);
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        resolve(false);
      };
      this.#waiting.push(take);
      response.once('close', leave);
    });
  }

  async #write(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const format = negotiatedFormat(request.headers.accept);
    response.setHeader('content-type', contentTypeOf(format));
    response.setHeader('vary', 'accept, accept-encoding');
    const stalled = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const watch = (): void => {
      timer = setTimeout(() => stalled.abort(), this.#maxStalledMs);
    };
    const pieces = this.#exposition.text(format);
    async function* watched(): AsyncGenerator<Buffer, void, undefined> {
      for await (const piece of pieces) {
        watch();
        yield piece;
        clearTimeout(timer);
      }
      watch();
    }
    const text = Readable.from(watched(), { objectMode: false, highWaterMark: 1 });
    const options = { signal: AbortSignal.any([AbortSignal.timeout(scrapeMs), stalled.signal]) };
    try {
      if (!acceptsGzip(request.headers['accept-encoding'])) {
        await pipeline(text, response, options);
        return;
      }
      response.setHeader('content-encoding', 'gzip');
      await pipeline(text, createGzip({ level: constants.Z_BEST_SPEED }), response, options);
    } finally {
      clearTimeout(timer);
    }
  }
}
