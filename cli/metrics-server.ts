import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { errorTable, messageOf } from '../core/app-error.ts';
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

/** Serves /metrics, /healthz and /readyz. */
export async function serveMetrics(listen: string, exposition: Exposition, ready: () => readonly string[]): Promise<Server | undefined> {
  if (listen === 'off') return undefined;
  const colon = listen.lastIndexOf(':');
  const scrapes = new Scrapes(exposition);
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
    const fail = (thrown: unknown): void => reject(metricsError('METRICS_LISTEN', { listen, cause: messageOf(thrown) }, thrown));
    server.once('error', fail);
    try {
      server.listen(Number(listen.slice(colon + 1)), listen.slice(0, colon).replace(/^\[|\]$/g, ''), resolve);
    } catch (thrown) {
      // A port above 65535 is thrown, not emitted.
      fail(thrown);
    }
  });
  server.unref();
  return server;
}

/** Answers scrapes, a bounded number of them at once. */
class Scrapes {
  readonly #exposition: Exposition;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(exposition: Exposition) {
    this.#exposition = exposition;
  }

  /** Does not reject: who goes away in the middle of an answer is nobody's failure. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#running >= maxScrapes) {
      if (this.#waiting.length >= maxWaiting) {
        response.statusCode = 503;
        response.end(`${maxWaiting} scrapes wait already\n`);
        return;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      await this.#write(request, response);
    } catch {
      response.destroy();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #write(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const format = negotiatedFormat(request.headers.accept);
    response.setHeader('content-type', contentTypeOf(format));
    response.setHeader('vary', 'accept, accept-encoding');
    const signal = AbortSignal.timeout(scrapeMs);
    const text = Readable.from(this.#exposition.text(format), { objectMode: false, highWaterMark: 1 });
    if (!acceptsGzip(request.headers['accept-encoding'])) {
      await pipeline(text, response, { signal });
      return;
    }
    response.setHeader('content-encoding', 'gzip');
    await pipeline(text, createGzip({ level: constants.Z_BEST_SPEED }), response, { signal });
  }
}
