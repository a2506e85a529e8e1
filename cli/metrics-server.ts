import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import { errorTable, messageOf } from '../core/app-error.ts';

export const metricsError = errorTable({
  METRICS_LISTEN: {
    message: 'cannot serve metrics on {listen}: {cause}',
    retryable: false,
    remedy:
      'Another process may use the port, or the address is not of this machine. Name another one with --set metrics.listen=127.0.0.1:PORT, or off.',
    exitCode: 75,
  },
});

/** Serves /metrics, /healthz and /readyz. */
export async function serveMetrics(listen: string, registry: Registry, ready: () => readonly string[]): Promise<Server | undefined> {
  if (listen === 'off') return undefined;
  const colon = listen.lastIndexOf(':');
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/healthz') response.end('ok\n');
    else if (path === '/readyz') {
      const problems = ready();
      response.statusCode = problems.length === 0 ? 200 : 503;
      response.end(problems.length === 0 ? 'ok\n' : `${problems.join('\n')}\n`);
    } else if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.setHeader('content-type', registry.contentType).end(text),
        (thrown: unknown) => {
          response.statusCode = 503;
          response.end(`${messageOf(thrown)}\n`);
        },
      );
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
