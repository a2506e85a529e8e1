import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probes } from '../bpf/registry.ts';
import type { MessageValue } from '../core/bus/bus.ts';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { createLog } from '../core/log.ts';
import { sleep } from '../core/retry.ts';
import { topics } from '../proto/bus.ts';
import { fileCheckpoints } from '../services/aggregator/checkpoint.ts';
import { startAggregator } from '../services/aggregator/main.ts';
import type { PartitionState } from '../services/aggregator/partition-state.ts';
import { loadRules } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import { probeSeriesOf } from '../services/aggregator/series/probe-series.ts';
import { encodeStreamMessage } from '../services/gateway/raw-encoder.ts';
import { type BenchRow, perCpuSecond, printRows } from './bench-row.ts';
import { syntheticStream } from './synthetic-records.ts';
import { workloadMessages, workloadSeverities } from './workload.ts';

const GIB = 2 ** 30;
const batchRecords = 2048;
// 2 us of event time a record: 10 s and more.
const records = Number(process.env.JITTERSCOPE_BENCH_RECORDS ?? 600_000);
const workloadRecords = Number(process.env.JITTERSCOPE_BENCH_WORKLOAD_RECORDS ?? 2_400_000);

/** Raw log to events log, every record an event. The reference builds the same lines with JSON.stringify and does nothing else. */
export async function run(): Promise<BenchRow[]> {
  const values = { netns: await measureEvents(false), pods: await measureEvents(true) };
  const reference = await perCpuSecond(records / 4, () => stringify(records / 4));
  const common = { unit: 'events/core-s', reference, referenceName: 'JSON.stringify and Buffer.from of a line without Pods alone' };
  return [
    { name: 'aggregator, embedded log to the same', value: values.netns, ...common },
    { name: 'aggregator, Pods at both ends', value: values.pods, ...common },
    ...(await workloadRows()),
  ];
}

/** 5,000 Pods on 20 nodes, 12 s of event time, all rules that come with the package. */
async function workloadRows(): Promise<BenchRow[]> {
  const rules = loadRules([fileURLToPath(new URL('../../rules/', import.meta.url))]);
  const common = { unit: 'records/core-s', referenceName: 'the same without rules' };
  const [plain, ruled] = [await measureWorkload(100, undefined), await measureWorkload(100, rules)];
  const [plain5, ruled5] = [await measureWorkload(20, undefined), await measureWorkload(20, rules)];
  return [
    { name: 'aggregator on W, 1 % events, all rules', value: ruled, reference: plain, ...common },
    { name: 'aggregator on W, 5 % events, all rules', value: ruled5, reference: plain5, ...common },
  ];
}

/** Every record an event. */
async function measureEvents(withPods: boolean): Promise<number> {
  const session = Buffer.alloc(16, 1);
  function* raw(): Generator<MessageValue> {
    for (const message of syntheticStream(records, batchRecords, withPods)) yield encodeStreamMessage('node1', session, message);
  }
  return await measure(raw(), records, {});
}

/** Workload W, with one of so many records an event. */
async function measureWorkload(resetEvery: number, rules: RuleSet | undefined): Promise<number> {
  const workload = { nodes: 20, podsPerNode: 250, seconds: 12, recordsPerSecond: workloadRecords / 12, resetEvery };
  const perBatch = Math.floor(workload.recordsPerSecond / workload.nodes / 5);
  const sent = perBatch * workload.nodes * 5 * workload.seconds;
  return await measure(workloadMessages(workload), sent, { minSeverity: workloadSeverities, rules });
}

/** Messages through the aggregator, from the raw log to the events log: records per CPU-second. */
async function measure(
  messages: Iterable<MessageValue>,
  count: number,
  more: { readonly minSeverity?: ReadonlyMap<number, number>; readonly rules?: RuleSet | undefined },
): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  const bus = await openEmbeddedLog({
    dir,
    topics: [
      { name: topics.raw, partitions: 1, maxBytes: 4 * GIB, retain: 'checkpoint' },
      { name: topics.events, partitions: 1, maxBytes: 4 * GIB, retain: 'oldest' },
      { name: topics.metrics, partitions: 1, maxBytes: GIB, retain: 'oldest' },
      { name: topics.deadLetters, partitions: 1, maxBytes: GIB, retain: 'oldest' },
    ],
  });
  try {
    for (const message of messages) await bus.append(topics.raw, 0, [message]);
    return await perCpuSecond(count, async () => {
      const aggregator = await startAggregator({
        bus,
        checkpoints: fileCheckpoints(join(dir, 'state')),
        cluster: 'default',
        events: new Map(probes.map((probe) => [probe.number, probe.event])),
        series: { maxSeries: 200_000, probes: probeSeriesOf(probes) },
        maxHeldBytes: 8 * 2 ** 20,
        maxBatchBytes: 256 * 1024,
        lingerMs: 200,
        checkpointMs: 60_000,
        log: createLog('warn'),
        ...more,
      });
      const { next } = await bus.offsets(topics.raw, 0);
      while ((aggregator.partitions().get(0)?.rawOffset ?? 0) < next || aggregator.pending()) await sleep(50);
      report(aggregator.partitions().get(0) as PartitionState);
      await aggregator.close();
    });
  } finally {
    await bus.close();
    await rm(dir, { recursive: true });
  }
}

/** What was made of it: a bench that does nothing is fast, too. */
function report({ dispositions: { events, counted, held, findings }, rules }: PartitionState): void {
  const open = [...rules.open()].length;
  process.stdout.write(`  ${events} events, ${counted} counted, ${held} held, ${findings} documents of findings, ${open} open\n`);
}

function stringify(count: number): void {
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const netns = i % 300;
    const event = {
      '@timestamp': `2026-11-22T04:31:07.${String(i % 1e9).padStart(9, '0')}Z`,
      message: `pod-${netns} reset a connection from pod-${netns + 1}: no socket listens on port 81`,
      log: { level: 'info' },
      ecs: { version: '8.17.0' },
      event: {
        kind: 'event',
        category: ['network'],
        type: ['connection', 'denied'],
        action: 'reset-sent',
        reason: 'NO_SOCKET',
        id: `9c1f0b7a52e4d386-${i}`,
        severity: 1,
      },
      source: { ip: `10.244.1.${netns & 255}`, port: 81 },
      destination: { ip: `10.244.1.${(netns + 1) & 255}`, port: 32768 + (i % 28000) },
      network: { type: 'ipv4', transport: 'tcp', direction: 'egress' },
      host: { name: 'node1' },
      orchestrator: { cluster: { name: 'default' } },
      jitterscope: {
        schema: 1,
        type: 'tcpreset',
        probe: 'tcpreset',
        role: 'server',
        netns: { name: `pod-${netns}`, cookie: 4096 + netns, inode: 4026532000 + netns },
        peer: { netns: { name: `pod-${netns + 1}`, cookie: 4097 + netns, inode: 4026532001 + netns } },
        identity: { source: 'netns', destination: 'ip' },
        suppressed: 0,
      },
    };
    bytes += Buffer.from(`${JSON.stringify(event)}\n`).length;
  }
  if (bytes === 0) throw new Error('nothing was made');
}

printRows(await run());
