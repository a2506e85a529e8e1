import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { serveMetrics } from './metrics-server.ts';

async function served(registry: Registry, ready: () => readonly string[]): Promise<string> {
  const server = (await serveMetrics('127.0.0.1:0', registry, ready)) as Server;
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
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

test('a metric that cannot be read is no 500', async () => {
  const registry = new Registry();
  new Gauge({
    name: 'jitterscope_test',
    help: 'h',
    registers: [registry],
    collect() {
      throw new Error('the map is gone');
    },
  });
  const response = await fetch(`${await served(registry, () => [])}/metrics`);
  expect([response.status, await response.text()]).toEqual([503, 'the map is gone\n']);
});

test('off serves nothing, and a taken port is named', async () => {
  expect(await serveMetrics('off', new Registry(), () => [])).toBeUndefined();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  await expect(serveMetrics(listen, new Registry(), () => [])).rejects.toMatchObject({
    code: 'METRICS_LISTEN',
    exitCode: 75,
    message: expect.stringContaining(listen),
  });
  await expect(serveMetrics('127.0.0.1:65536', new Registry(), () => [])).rejects.toMatchObject({ code: 'METRICS_LISTEN' });
});

test('an IPv6 address stands in brackets', async () => {
  const server = await serveMetrics('[::1]:0', new Registry(), () => []).catch(() => undefined);
  if (server === undefined) return;
  onTestFinished(() => void server.close());
  expect((server.address() as AddressInfo).address).toBe('::1');
});
