import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import { eventFields } from '../schema/event.ts';
import { EventBatchWriter } from '../schema/event-batch.ts';
import type { RunningServer } from '../scripts/servers/server.mjs';
import { temporaryFolder } from './support/data-folder.ts';
import { EventStream } from './support/event-stream.ts';
import { LokiRun } from './support/loki-run.ts';
import { askLoki, startLoki } from './support/loki-server.ts';
import { patiently } from './support/patiently.ts';

const root = new URL('..', import.meta.url);
const queries = [...readFileSync(new URL('docs/loki.md', root), 'utf8').matchAll(/```logql\n([\s\S]*?)```/g)].map(([, text]) =>
  text.trim(),
);
const prefix = '00000000000000e1';
const folder = temporaryFolder();
const lateS = 3_600;
let server: RunningServer;
let nowS: number;

/** A finding, as the aggregator writes it. */
function findingAt(second: number): Uint8Array {
  const writer = new EventBatchWriter();
  const id = { prefix: '41d8c07e93ab5f26', number: 1 };
  const document = {
    message: 'shop/web-0: accept queue of port 8080 is full',
    event: { kind: 'alert', action: 'anomaly-opened', id: `${id.prefix}-1` },
  };
  writer.putLine(`${JSON.stringify(document)}\n`);
  writer.add(second, 0, 1_000_000, 0, id.prefix, id.number, 2, 'accept-queue-saturation', 3, 'shop', 'web-0', 'node1', 'uid-0');
  return writer.finish(2_000);
}

/** A reset that was on its way for long. */
function lateResetAt(second: number): Uint8Array {
  const writer = new EventBatchWriter();
  const id = { prefix: '52e9d18fa4bc6037', number: 1 };
  const document = { message: 'reset', event: { kind: 'event', id: `${id.prefix}-1` }, destination: { ip: '10.0.0.1', port: 443 } };
  writer.putLine(`${JSON.stringify(document)}\n`);
  writer.add(second, 0, 1_000_001, 0, id.prefix, id.number, 1, 'tcpreset', 2, 'shop', 'web-0', 'node1', 'uid-0');
  return writer.finish(2_001);
}

beforeAll(async () => {
  // Rules are read when the server starts.
  const rules = join(folder.path, 'loki', 'rules', 'fake');
  mkdirSync(rules, { recursive: true });
  copyFileSync(new URL('deploy/loki/rules.yaml', root), join(rules, 'rules.yaml'));
  server = await startLoki({ dataDir: join(folder.path, 'loki') });
  const run = await LokiRun.start(join(folder.path, 'data'), { loki: { enabled: true, url: server.address } });
  nowS = Math.floor(Date.now() / 1000);
  const stream = new EventStream({ prefix, node: 'node1', startS: nowS - 40, stepNs: 20_000_000, lineBytes: 900 });
  await run.bus.append(topics.events, 0, [stream.next(2_000), findingAt(nowS - 1), lateResetAt(nowS - lateS)]);
  await patiently('everything is delivered', 60_000, async () => (await run.lag('loki')) === 0);
  await run.close();
});
afterAll(async () => {
  await server.kill();
  folder.remove();
});

test('there are queries to run', () => expect(queries.length).toBeGreaterThan(10));

test('what queries take out of a line are fields of the vocabulary', () => {
  const known = new Set(eventFields.map(({ path }) => path));
  const named = queries.flatMap((query) => [...query.matchAll(/="([a-z]+(?:\.[a-z_]+)+)"/g)].map(([, path]) => path));
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((path) => !known.has(path))).toEqual([]);
});

test.each(queries)('%s', async (query) => {
  const parameters = { query, start: `${nowS - lateS - 60}000000000`, end: `${nowS + 1}000000000`, step: '10', limit: '100' };
  const answer = (await askLoki({ address: server.address }, 'query_range', parameters)) as {
    data: { result: { stream?: Record<string, string>; values: string[][] }[] };
  };
  const { result } = answer.data;
  expect(result.length).toBeGreaterThan(0);
  // A field that cannot be read is told as a label.
  expect(result.filter(({ stream }) => stream?.__error__ !== undefined)).toEqual([]);
});

test('times are exact to the nanosecond, and each event tells whose it is without parsing', async () => {
  const parameters = { query: `{service_name="jitterscope"} | event_id="${prefix}-7"`, start: `${nowS - 60}000000000` };
  const { data } = (await askLoki({ address: server.address }, 'query_range', parameters)) as {
    data: { result: { stream: Record<string, string>; values: [string, string][] }[] };
  };
  const [{ stream, values }] = data.result;
  expect(values.map(([nanos]) => nanos)).toEqual([`${nowS - 40}140000000`]);
  expect(JSON.parse(values[0][1])).toMatchObject({ event: { id: `${prefix}-7` } });
  expect(stream).toMatchObject({
    service_name: 'jitterscope',
    cluster: 'c1',
    event_kind: 'event',
    type: 'tcplife',
    severity: 'warning',
    event_id: `${prefix}-7`,
    node: 'node1',
    namespace: 'shop',
    pod: 'web-7',
    uid: '0b7f5d52-6a0e-4b1e-9c53-0e5a2f0d1007',
  });
});

test('the ruler takes the alert rules, and the finding fires', { timeout: 120_000 }, async () => {
  await patiently('JitterscopeCriticalFinding fires', 90_000, async () => {
    const response = await fetch(`${server.address}/prometheus/api/v1/alerts`);
    if (!response.ok) return false;
    const { data } = (await response.json()) as { data: { alerts: { labels: Record<string, string>; state: string }[] } };
    return data.alerts.some(
      ({ labels, state }) => labels.alertname === 'JitterscopeCriticalFinding' && labels.pod === 'web-0' && state === 'firing',
    );
  });
});
