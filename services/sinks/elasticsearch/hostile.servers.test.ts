// An Elasticsearch that is short of everything: what it refuses for that by itself, no script in between.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AppError } from '../../../core/app-error.ts';
import { createLog } from '../../../core/log.ts';
import type { RunningElasticsearch } from '../../../scripts/servers/elasticsearch.mjs';
import { temporaryFolder } from '../../../test/support/data-folder.ts';
import { askElasticsearch, startElasticsearch, storedIds } from '../../../test/support/elasticsearch-server.ts';
import { delivering } from '../delivery.ts';
import { newDeliveryCounters } from '../metrics.ts';
import { elasticsearchSinkSchema } from './config.ts';
import { openElasticsearchSink } from './index.ts';
import { batchOfLines } from './test-lines.ts';

const log = createLog('silent');
const signal = new AbortController().signal;
const folder = temporaryFolder();
/** A request of more is refused: 413. */
const maxContentBytes = 2 * 1024 * 1024;
let server: RunningElasticsearch;
let tests = 0;

beforeAll(async () => {
  const overrides = {
    'http.max_content_length': `${maxContentBytes}b`,
    // Bytes of all requests under way.
    'indexing_pressure.memory.limit': '1mb',
    'thread_pool.write.size': 1,
    'thread_pool.write.queue_size': 1,
  };
  server = await startElasticsearch({ dataDir: folder.path, heap: '256m', overrides });
});
afterAll(async () => {
  await server?.kill();
  folder.remove();
});

/** A sink with all its wrappers and indices of its own, whose templates are installed. */
async function openHostile() {
  const index = `hostile-${++tests}`;
  const maxBytes = 8 * 1024 * 1024;
  const opened = await openElasticsearchSink(elasticsearchSinkSchema.parse({ urls: [server.address], index }), log);
  await opened.check(signal);
  const told = new Set<string>();
  const failed = (_: number, { code, message }: AppError) => void told.add(`${code}: ${message}`);
  const observer = { retrying: failed, paused: failed, delivering: () => undefined };
  const counters = newDeliveryCounters();
  const policy = { initialMs: 20, maxMs: 200, pauseMs: 200 };
  const sink = delivering(opened, { name: 'elasticsearch', policy, observer, counters, maxBytes });
  /** Delivers events of so many bytes; the ids of those that are to be stored. */
  async function deliver(lineBytes: readonly number[]) {
    const prefix = randomBytes(8).toString('hex');
    const lines = lineBytes.map((bytes) => ({ line: JSON.stringify({ '@timestamp': '2026-11-22T04:31:07Z', pad: 'x'.repeat(bytes) }) }));
    const { rejected = [] } = await sink.deliver(batchOfLines(lines, prefix), signal);
    const refused = new Set(rejected.map(({ item }) => item));
    return { rejected, ids: lineBytes.map((_, item) => `${prefix}-${item}`).filter((__, item) => !refused.has(item)) };
  }
  const expectOnce = async (ids: readonly string[]) =>
    expect((await storedIds(server.address, `${index}-*`)).sort()).toEqual([...ids].sort());
  return { sink, index, told: () => [...told], counters, deliver, expectOnce };
}

test('413: a request that is larger than the server takes is halved until it fits; the one event that never does is given up', async () => {
  const { sink, deliver, counters, expectOnce } = await openHostile();
  const { rejected, ids } = await deliver([...Array<number>(150).fill(9_000), maxContentBytes + 1, ...Array<number>(100).fill(9_000)]);
  expect(rejected.map(({ item, error }) => [item, error.code])).toEqual([[150, 'ELASTICSEARCH_TOO_LARGE']]);
  expect(counters.failures.ELASTICSEARCH_TOO_LARGE).toBeGreaterThan(2);
  expect(ids.length).toBe(250);
  await expectOnce(ids);
  await sink.close();
});

const noRoom =
  'ELASTICSEARCH_OVERLOADED: Elasticsearch takes no more for now: 429 es_rejected_execution_exception: no room in the queue of thread pool test-1/write, capacity 1';

test('429 of items: what its queue of writes has no room for is sent again, and only that, until each event is stored once', async () => {
  const { sink, index, deliver, told, counters, expectOnce } = await openHostile();
  const sharded = { template: { settings: { number_of_shards: 8 } } };
  await askElasticsearch(server.address, 'PUT', `/_component_template/${index}@custom`, sharded);
  const { rejected, ids } = await deliver(Array<number>(400).fill(200));
  expect(rejected).toEqual([]);
  expect(told()).toEqual([noRoom]);
  expect(counters.retriedEvents).toBeGreaterThan(0);
  // Not all of them: some were stored at once.
  expect(counters.retriedEvents).toBeLessThan(400 * (counters.requests - 1));
  await expectOnce(ids);
  expect(sink.counters?.alreadyStored).toBe(0);
  await sink.close();
});

test('429 of requests for want of a place in its queue: they are sent again as they are, until each event is stored once', async () => {
  const { sink, deliver, told, counters, expectOnce } = await openHostile();
  const ids: string[] = [];
  for (let rounds = 0; told().length === 0 && rounds < 100; rounds++) {
    const deliveries = await Promise.all(Array.from({ length: 8 }, () => deliver(Array<number>(50).fill(200))));
    expect(deliveries.flatMap(({ rejected }) => rejected)).toEqual([]);
    ids.push(...deliveries.flatMap((delivery) => delivery.ids));
  }
  expect(told()).toEqual([noRoom]);
  expect(counters.sentEvents).toBe(counters.requests * 50);
  await expectOnce(ids);
  expect(sink.counters?.alreadyStored).toBe(0);
  await sink.close();
});

test('429 of requests for want of memory: they are sent again in smaller ones, until each event is stored once', async () => {
  const { sink, deliver, told, counters, expectOnce } = await openHostile();
  const { rejected, ids } = await deliver(Array<number>(150).fill(9_000));
  expect(rejected).toEqual([]);
  expect(told()).toEqual([
    expect.stringMatching(/^ELASTICSEARCH_OVERLOADED: .*429 es_rejected_execution_exception: .*coordinating operation/),
  ]);
  expect(counters.sentEvents).toBeLessThan(counters.requests * 150);
  await expectOnce(ids);
  expect(sink.counters?.alreadyStored).toBe(0);
  await sink.close();
});
