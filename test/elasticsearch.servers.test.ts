import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { DeadLetterBox, type LetterFilter } from '../core/dead-letter-box.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import type { RunningElasticsearch } from '../scripts/servers/elasticsearch.mjs';
import { sinksSchema } from '../services/sinks/config.ts';
import { startSinks } from '../services/sinks/main.ts';
import { replayLetters } from '../services/sinks/replay-letters.ts';
import { encodeSyntheticEvents, type SyntheticEvents, syntheticId } from '../services/sinks/test-documents.ts';
import { BulkProxy } from './support/bulk-proxy.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { askElasticsearch, startElasticsearch, storedIds } from './support/elasticsearch-server.ts';
import { patiently } from './support/patiently.ts';

const log = createLog('silent');
const signal = new AbortController().signal;
const limitMs = 240_000;
const partitions = 2;
const folder = temporaryFolder();
/** Of a user that may not go through the other one. */
const serverFolder = temporaryFolder();
let server: RunningElasticsearch;
let tests = 0;

beforeAll(async () => {
  server = await startElasticsearch({ dataDir: serverFolder.path });
});
afterAll(async () => {
  await server?.kill();
  folder.remove();
  serverFolder.remove();
});

/** Bus, file sink and Elasticsearch sink in this process. */
async function startStores(url: string) {
  const dataDir = join(folder.path, `data-${++tests}`);
  const index = `promise-${tests}`;
  const spec = { partitions, maxBytes: 8 * 1024 ** 3, retain: 'oldest' } as const;
  const bus = await openEmbeddedLog({
    dir: join(dataDir, 'bus'),
    topics: [
      { ...spec, name: topics.events },
      { ...spec, name: topics.deadLetters },
    ],
  });
  const config = sinksSchema.parse({ elasticsearch: { enabled: true, urls: [url], index } });
  const policy = { initialMs: 50, maxMs: 1_000, pauseMs: 1_000 };
  const sinks = await startSinks({ bus, config, clusterName: 'default', dataDir, log, policy });
  onTestFinished(async () => {
    await sinks.close(1_000);
    await bus.close();
  });
  const lagOf = async (sink: string): Promise<number> =>
    [...((await sinks.lag()).get(sink) ?? new Map()).values()].reduce((a, b) => a + b, 0);
  const totalOf = (sink: string, what: 'delivered' | 'rejected' | 'in') =>
    [
      ...(sinks
        .stats()
        .find((one) => one.sink === sink)
        ?.partitions.values() ?? []),
    ].reduce((sum, found) => sum + found[what], 0);
  /** Appends events to both partitions, in messages of up to 250. */
  async function append(first: number, count: number, more: Partial<SyntheticEvents> = {}): Promise<void> {
    for (let partition = 0; partition < partitions; partition++) {
      const messages: Uint8Array[] = [];
      for (let at = first; at < first + count; at += 250)
        messages.push(encodeSyntheticEvents({ ...more, partition, first: at, count: Math.min(250, first + count - at) }));
      await bus.append(topics.events, partition, messages);
    }
  }
  const settled = (sink: string) =>
    patiently(`${sink} has taken everything`, limitMs, async () => (await lagOf(sink)) === 0 && totalOf(sink, 'in') > 0);
  return { bus, sinks, dataDir, index, append, lagOf, totalOf, settled };
}

/** Ids of both partitions, in no order. */
const idsOf = (count: number, wanted: (number: number) => boolean = () => true): string[] =>
  Array.from({ length: partitions }, (_, partition) =>
    Array.from({ length: count }, (_, number) => number)
      .filter(wanted)
      .map((number) => syntheticId(partition, number)),
  ).flat();

async function expectStored(index: string, expected: readonly string[]): Promise<void> {
  const ids = await storedIds(server.address, `${index}-*`);
  const distinct = new Set(ids);
  expect({
    doubled: ids.length - distinct.size,
    missing: expected.filter((id) => !distinct.has(id)).length,
    stored: distinct.size,
  }).toEqual({
    doubled: 0,
    missing: 0,
    stored: expected.length,
  });
}

test('partial bulk: what the mapping refuses is in the DLQ with the reason, what is answered by 429 is stored once; mended, the refused ones are replayed', async () => {
  const proxy = await BulkProxy.start(server.address);
  onTestFinished(() => proxy.close());
  const once = new Set<string>();
  proxy.busy = (id) => id.endsWith('7') && !once.has(id) && once.add(id) !== undefined;
  const { bus, sinks, index, append, totalOf, settled } = await startStores(proxy.address);
  const [total, refused] = [5_000, (number: number) => number % 10 === 3];
  await append(0, total, { sourceIp: (number) => (refused(number) ? `host-${number}` : '10.0.0.1') });
  await settled('elasticsearch');
  await expectStored(
    index,
    idsOf(total, (number) => !refused(number)),
  );
  expect(once.size).toBe(1_000);
  expect([totalOf('elasticsearch', 'delivered'), totalOf('elasticsearch', 'rejected')]).toEqual([9_000, 1_000]);
  const box = new DeadLetterBox(bus);
  const letters = await collect(box, { target: 'elasticsearch' });
  expect(letters.map(({ eventId }) => eventId).sort()).toEqual(idsOf(total, refused).sort());
  // Each with the reason of its own.
  for (const { eventId, code, reason } of letters)
    expect({ code, reason }).toEqual({
      code: 'ELASTICSEARCH_EVENT_REFUSED',
      reason: expect.stringMatching(new RegExp(`\\[source\\.ip\\].*'host-${eventId?.split('-')[1]}'`)),
    });

  const replay = async () => {
    const outcomes = { delivered: 0, stay: 0 };
    for await (const { error } of replayLetters(box, sinks, {}, signal, log)) outcomes[error === undefined ? 'delivered' : 'stay']++;
    return outcomes;
  };
  expect(await replay()).toEqual({ delivered: 0, stay: 1_000 });
  const mended = { template: { mappings: { properties: { source: { properties: { ip: { type: 'keyword' } } } } } } };
  await askElasticsearch(server.address, 'PUT', `/_component_template/${index}@custom`, mended);
  const [today] = Object.keys((await askElasticsearch(server.address, 'GET', `/${index}-*`)) as object);
  await askElasticsearch(server.address, 'DELETE', `/${today}`);
  expect(await replay()).toEqual({ delivered: 1_000, stay: 0 });
  await expectStored(index, idsOf(total, refused));
  expect(await collect(box, {})).toEqual([]);
});

test('slow store: with 2 s a request no other sink slows, and every event is stored once', async () => {
  const proxy = await BulkProxy.start(server.address);
  onTestFinished(() => proxy.close());
  const { index, append, lagOf, totalOf, settled } = await startStores(proxy.address);
  await append(0, 100);
  await settled('elasticsearch');
  proxy.delayMs = 2_000;
  const before = proxy.requests;
  for (let round = 1; round <= 8; round++) {
    await append(round * 100, 100);
    await settled('file');
    expect(totalOf('file', 'delivered')).toBe((round + 1) * 100 * partitions);
  }
  // All of that took less than two requests of each partition.
  expect(proxy.requests - before).toBeLessThanOrEqual(2 * partitions);
  expect(await lagOf('elasticsearch')).toBeGreaterThan(0);
  await settled('elasticsearch');
  await expectStored(index, idsOf(900));
});

async function collect(box: DeadLetterBox, filter: LetterFilter) {
  const found: { readonly eventId: string | undefined; readonly code: string; readonly reason: string }[] = [];
  for await (const { eventId, code, reason } of box.waiting(filter, signal)) found.push({ eventId, code, reason });
  return found;
}
