import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configSchema } from '../cli/config.ts';
import { type Pipeline, startPipeline } from '../cli/pipeline.ts';
import { shortSocketPath } from '../cli/socket-path.ts';
import { DeadLetterBox } from '../core/dead-letter-box.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import type { RunningElasticsearch } from '../scripts/servers/elasticsearch.mjs';
import type { RunningServer } from '../scripts/servers/server.mjs';
import type { Dispositions as SinkDispositions } from '../services/sinks/metrics.ts';
import { sinkGroup } from '../services/sinks/pipeline.ts';
import { decodePosition, encodePosition, type Position } from '../services/sinks/position.ts';
import { openBusOf, temporaryFolder } from './support/data-folder.ts';
import { startElasticsearch, storedDocuments } from './support/elasticsearch-server.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { holdingOf } from './support/loki-run.ts';
import { countLines, startLoki } from './support/loki-server.ts';
import { expectSinkIdentity } from './support/loss-identity.ts';
import { patiently } from './support/patiently.ts';

const day = 86_400;
const limitMs = 60_000;
const log = createLog(process.env.JITTERSCOPE_TEST_LOG === undefined ? 'silent' : 'warn');
const folder = temporaryFolder();
const serverFolder = temporaryFolder();
let elasticsearch: RunningElasticsearch;
let loki: RunningServer;
let runs = 0;

beforeAll(async () => {
  [elasticsearch, loki] = await Promise.all([
    startElasticsearch({ dataDir: serverFolder.path }),
    startLoki({
      dataDir: join(folder.path, 'loki'),
      tenants: true,
      limits: { discover_log_levels: false },
      // What is older than 3 h is else not seen before it is flushed.
      overrides: { querier: { query_ingesters_within: '0' }, ingester: { query_store_max_look_back_period: '-1ns' } },
    }),
  ]);
});
afterAll(async () => {
  await Promise.all([elasticsearch?.kill(), loki?.kill()]);
  folder.remove();
  serverFolder.remove();
});

/** A node of the lab, and how its events must end in the stores. */
interface Node {
  readonly collector: FakeCollector;
  readonly events: ExpectedEvents;
  /** First items of what only Elasticsearch takes, in the index of days that are not plausible or in their own. */
  readonly refusedByLoki: (item: number) => boolean;
  readonly isImplausible: (item: number) => boolean;
}

test('clocks, late nodes: nodes that were away for 2 h, that are ahead, behind, out of order and wrong by years: each event is stored once where the store takes it, or is a dead letter, and all are counted', async () => {
  // Index, tenant and folder: a test that is tried again has others.
  const name = `clocks${++runs}`;
  const dataDir = join(folder.path, name, 'data');
  const gatewayAddress = `unix:${shortSocketPath(join(dataDir, 'collect.sock'))}`;
  const startS = Math.floor(Date.now() / 1000);
  const node = async (number: number, clockS: number, more: Partial<Node> = {}, gateway = gatewayAddress): Promise<Node> => {
    const events = new ExpectedEvents();
    const collector = await FakeCollector.start({
      node: number,
      spoolDir: join(folder.path, name, `spool-${number}`),
      gatewayAddress: gateway,
      events,
      clockS,
    });
    return { collector, events, refusedByLoki: () => false, isImplausible: () => false, ...more };
  };
  const first100 = (item: number): boolean => item < 100;

  // Before there is a gateway: two hours of its spool.
  const late = await node(2, startS - 7200, {}, `unix:${join(folder.path, name, 'nobody.sock')}`);
  for (let batch = 0; batch < 24; batch++) {
    late.collector.batch(20);
    late.collector.pass(300);
  }
  expect(await late.collector.close(0)).toBeGreaterThan(24);
  const config = configSchema.parse({
    sinks: {
      elasticsearch: { enabled: true, urls: [elasticsearch.address], index: name },
      loki: { enabled: true, url: loki.address, tenantId: name },
    },
  });
  let pipeline: Pipeline = await startPipeline(config, dataDir, { ticks: true, log });
  const current = await node(1, startS - 5);
  current.collector.batch(100);
  current.collector.heartbeat(60e9);
  const stored = (): number =>
    pipeline.sinks
      .stats()
      .find(({ sink }) => sink === 'loki')
      ?.partitions.get(0)?.delivered ?? 0;
  await patiently('the others are current', limitMs, () => stored() >= current.events.count);
  const before = await pipeline.bus.committed(sinkGroup('loki'), topics.events, 0);
  // The next session of the late node sends first what the one before left in the spool.
  const back = await node(2, startS);
  const ahead = await node(3, startS + 3600, { refusedByLoki: () => true });
  const unordered = await node(4, startS);
  const unset = await node(5, 8_000, { refusedByLoki: first100, isImplausible: first100 });
  const future = await node(6, startS + 5000 * day, { refusedByLoki: first100, isImplausible: first100 });
  const old = await node(7, startS - 8 * day, { refusedByLoki: first100 });
  const nodes = [current, late, ahead, unordered, unset, future, old];
  for (const { collector } of nodes.filter((each) => each !== late && each !== current)) collector.batch(100);
  // Clocks are set while the session lives.
  unset.collector.setClock(startS);
  future.collector.setClock(startS - 1);
  old.collector.setClock(startS - 6 * day);
  for (let round = 0; round < 6; round++) {
    unordered.collector.setClock(startS - 30 * (round % 2));
    for (const { collector } of nodes.filter((each) => each !== late && each !== ahead)) collector.batch(50);
  }
  try {
    const ending = [...nodes.filter((each) => each !== late), back];
    expect(await Promise.all(ending.map(({ collector }) => collector.close(limitMs)))).toEqual(ending.map(() => 0));
    // The next session of a node begins decades later, or earlier: its clock was mended.
    const mended = [await node(5, startS), await node(6, startS)];
    for (const { collector } of mended) collector.batch(50);
    expect(await Promise.all(mended.map(({ collector }) => collector.close(limitMs)))).toEqual([0, 0]);
    nodes.push(...mended);
    expect(await pipeline.settled(AbortSignal.timeout(limitMs))).toBe(true);
    await expectStores(pipeline, name, nodes, startS);
  } finally {
    await pipeline.close(new Deadline(10_000));
  }
  // As after a kill -9 between what was sent since and its commit: another life looks up what this one may have sent.
  const bus = await openBusOf(dataDir);
  const position = decodePosition(before?.metadata ?? '') as Position;
  const begun = (await bus.committed(sinkGroup('loki'), topics.events, 0))?.offset;
  await bus.commit(sinkGroup('loki'), topics.events, 0, { offset: before?.offset ?? 0, metadata: encodePosition({ ...position, begun }) });
  await bus.close();
  pipeline = await startPipeline(config, dataDir, { ticks: true, log });
  try {
    expect(await pipeline.settled(AbortSignal.timeout(limitMs))).toBe(true);
    await expectStores(pipeline, name, nodes, startS);
    const delivery = pipeline.sinks.stats().find(({ sink }) => sink === 'loki')?.delivery;
    const since = (isRefused: boolean): number =>
      nodes
        .slice(1)
        .reduce(
          (sum, { events, refusedByLoki }) => sum + [...events.expected()].filter(([, item]) => refusedByLoki(item) === isRefused).length,
          0,
        );
    process.stdout.write(
      `  looked up: ${delivery?.unknownEvents} events, found ${delivery?.foundEvents} of ${since(false)}, sent again ${delivery?.sentEvents}, possibly doubled ${delivery?.possiblyDuplicatedEvents}\n`,
    );
    expect(delivery?.foundEvents).toBeGreaterThanOrEqual(since(false));
    // Nothing that was stored, be it in a backfill stream. Of what Loki refused, it may not show what is old.
    expect(delivery?.possiblyDuplicatedEvents).toBeLessThanOrEqual(since(true));
  } finally {
    await pipeline.close(new Deadline(10_000));
  }
});

async function expectStores(pipeline: Pipeline, name: string, nodes: readonly Node[], startS: number): Promise<void> {
  const documents = (await storedDocuments(elasticsearch.address, `${name}-*`)).map((document) => {
    const [prefix = '', item] = document.id.split('-');
    return { ...document, prefix, item: Number(item) };
  });
  const reader = { address: loki.address, tenantId: name };
  // What Loki refuses a life that was killed, it refuses the next one, too: each time it is a letter.
  const codes = new Map<string, string>();
  for await (const { eventId = '', code } of new DeadLetterBox(pipeline.bus).waiting({ target: 'loki' }, AbortSignal.timeout(limitMs)))
    codes.set(eventId, code);
  const letters = [...codes].map(([id, code]) => ({ id, code }));
  const nowS = Math.ceil(Date.now() / 1000) + 1;
  for (const { collector, events, refusedByLoki, isImplausible } of nodes) {
    const { prefix } = collector;
    const expected = [...events.expected()].map(([, item]) => item);
    const held = documents.filter((document) => document.prefix === prefix);
    expect(held.map(({ item }) => item).sort((a, b) => a - b)).toEqual(expected);
    for (const { item, index, timestamp } of held)
      expect(index).toBe(isImplausible(item) ? `${name}-other-days` : `${name}-${timestamp.slice(0, 10).replaceAll('-', '.')}`);
    const { distinct, lines } = await holdingOf(reader, prefix, startS - 7 * day, nowS);
    const wanted = expected.filter((item) => !refusedByLoki(item)).map((item) => `${prefix}-${item}`);
    expect({ node: collector.node, lines, distinct: distinct.size }).toEqual({
      node: collector.node,
      lines: wanted.length,
      distinct: wanted.length,
    });
    expect([...distinct].sort()).toEqual(wanted.sort());
    const refused = letters.filter(({ id }) => id.startsWith(prefix)).map(({ id }) => Number(id.slice(17)));
    expect(refused.sort((a, b) => a - b)).toEqual(expected.filter(refusedByLoki));
  }
  const [, late, ahead, , unset, future, old] = nodes.map(({ collector }) => collector);
  const codesOf = ({ prefix }: FakeCollector) => [...new Set(letters.filter(({ id }) => id.startsWith(prefix)).map(({ code }) => code))];
  expect([ahead, future, unset, old].map(codesOf)).toEqual([['LOKI_TOO_NEW'], ['LOKI_TOO_NEW'], ['LOKI_TOO_OLD'], ['LOKI_TOO_OLD']]);
  const backfilled = (number: number) => countLines(reader, `{backfill="synthetic-${number}"}`, nowS, nowS - startS + 7 * day);
  expect(await backfilled(late === undefined ? 0 : 2)).toBeGreaterThan(300);
  expect(await backfilled(7)).toBeGreaterThan(250);
  const state = pipeline.aggregator.partitions().get(0);
  for (const sink of ['elasticsearch', 'loki', 'file']) {
    const counts = pipeline.sinks
      .stats()
      .find((one) => one.sink === sink)
      ?.partitions.get(0);
    const rejected = sink === 'loki' ? letters.length : 0;
    expect(counts, sink).toMatchObject({ rejected, lost: { retention: 0, damaged: 0, undecodable: 0, unexplained: 0 } });
    expectSinkIdentity(counts as SinkDispositions, state?.nextEvent ?? 0);
  }
}
