import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Counter, Gauge, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../core/log.ts';
import { Family } from '../services/sinks/prometheus/family.ts';
import { Exposition } from './exposition.ts';
import { listensOn, serveMetrics } from './metrics-server.ts';

const expositionOf = (registry: Registry, families: readonly Family[] = []) =>
  new Exposition(registry, () => families, createLog('silent'));

async function served(registry: Registry, ready: () => readonly string[]): Promise<string> {
  const server = (await serveMetrics('127.0.0.1:0', expositionOf(registry), ready)) as Server;
  onTestFinished(() => void server.close());
  return `http://${listensOn(server)}`;
}

test('metrics, health and readiness are served; other paths say which there are', async () => {
  const registry = new Registry();
  new Gauge({ name: 'jitterscope_test', help: 'h', registers: [registry] }).set(5);
  const problems: string[] = [];
  const url = await served(registry, () => problems);
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`);
    return [response.status, await response.text()];
  };
  expect(await get('/metrics?x=1')).toEqual([200, expect.stringContaining('jitterscope_test 5')]);
  expect(await get('/healthz')).toEqual([200, 'ok\n']);
  expect(await get('/readyz')).toEqual([200, 'ok\n']);
  problems.push('sink file: the disk is full');
  expect(await get('/readyz')).toEqual([503, 'sink file: the disk is full\n']);
  expect(await get('/healthz')).toEqual([200, 'ok\n']);
  expect(await get('/')).toEqual([404, expect.stringContaining('/metrics')]);
});

test('a metric that cannot be read takes no other with it', async () => {
  const registry = new Registry();
  new Gauge({ name: 'jitterscope_test', help: 'h', registers: [registry] }).set(5);
  new Gauge({
    name: 'jitterscope_broken',
    help: 'h',
    registers: [registry],
    collect() {
      throw new Error('the map is gone');
    },
  });
  const response = await fetch(`${await served(registry, () => [])}/metrics`);
  expect([response.status, await response.text()]).toEqual([
    200,
    '# HELP jitterscope_test h\n# TYPE jitterscope_test gauge\njitterscope_test 5\n',
  ]);
});

test('OpenMetrics is given to who prefers it, gzip to who takes it', async () => {
  const registry = new Registry();
  new Counter({ name: 'jitterscope_test_total', help: 'h "x"', labelNames: ['a'], registers: [registry] }).inc({ a: 'x"y\n' }, 2);
  const url = `${await served(registry, () => [])}/metrics`;
  const prometheus =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
  const response = await fetch(url, { headers: { accept: prometheus, 'accept-encoding': 'gzip' } });
  expect(response.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  expect(response.headers.get('content-encoding')).toBe('gzip');
  expect(await response.text()).toBe(
    '# TYPE jitterscope_test counter\n# HELP jitterscope_test h \\"x\\"\njitterscope_test_total{a="x\\"y\\n"} 2\n# EOF\n',
  );
  const plain = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
  expect(plain.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await plain.text()).toBe(
    '# HELP jitterscope_test_total h "x"\n# TYPE jitterscope_test_total counter\njitterscope_test_total{a="x\\"y\\n"} 2\n',
  );
});

test('off serves nothing, and a taken port is named', async () => {
  expect(await serveMetrics('off', expositionOf(new Registry()), () => [])).toBeUndefined();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  await expect(serveMetrics(listen, expositionOf(new Registry()), () => [])).rejects.toMatchObject({
    code: 'METRICS_LISTEN',
    exitCode: 75,
    message: expect.stringContaining(listen),
  });
});

test('an IPv6 address stands in brackets', async () => {
  const server = await serveMetrics('[::1]:0', expositionOf(new Registry()), () => []).catch(() => undefined);
  if (server === undefined) return;
  onTestFinished(() => void server.close());
  expect((server.address() as AddressInfo).address).toBe('::1');
});

/** Sends a scrape, and never reads the answer. */
function stuckScrape(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.pause();
      socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n', () => resolve(socket));
    });
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });
}

test('scrapers that do not read, or are gone before it is their turn, keep no other from its answer', async () => {
  const family = new Family({ name: 'large', type: 'gauge', help: 'h', scale: 1 });
  family.dirty = false;
  // More than the buffers of sockets take.
  family.text = Array.from({ length: 32 }, () => Buffer.alloc(1024 * 1024, '#'));
  const server = (await serveMetrics('127.0.0.1:0', expositionOf(new Registry(), [family]), () => [], 300)) as Server;
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  for (let scraper = 0; scraper < 2; scraper++) await stuckScrape(port);
  for (let scraper = 0; scraper < 8; scraper++) (await stuckScrape(port)).destroy();
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await response.text();
  expect([response.status, text.length > 32 * 1024 * 1024]).toEqual([200, true]);
}, 30_000);
