import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Gauge, Registry } from 'prom-client';
import { atOnce } from '../core/pieces.ts';
import { type CollectorBody, CollectorMessage } from '../proto/collect.ts';
import { describeMetric } from '../schema/metrics.ts';
import { PartitionState } from '../services/aggregator/partition-state.ts';
import { MetricPublisher } from '../services/aggregator/series/metric-publisher.ts';
import { headerText, render } from '../services/sinks/prometheus/render.ts';
import { ShownSeries } from '../services/sinks/prometheus/store.ts';
import { type BenchRow, perCpuSecond, printRows } from './bench-row.ts';
import { cycleBodies, openingBodies, syntheticLayouts } from './synthetic-samples.ts';

const fieldsPerNetns = 334;
const rounds = Number(process.env.JITTERSCOPE_BENCH_ROUNDS ?? 20);

/** Work per CPU-second of each step of 100 k series, the longest time without a turn of the event loop in brackets. */
export async function run(): Promise<BenchRow[]> {
  const state = new PartitionState({ maxSeries: 200_000, probes: new Map() });
  const session = state.session('node1', '01'.repeat(16));
  const publisher = new MetricPublisher(state.series.store, undefined);
  const describe = (source: string, field: string) => ({ family: describeMetric(source, field), part: 'value' as const });
  const shown = new ShownSeries({ maxSeriesPerMetric: 20_000, endedVisibleMs: 300_000, describe });
  const layouts = syntheticLayouts(fieldsPerNetns);
  let offset = 0;
  let appendedMs = Date.now();

  const take = (body: CollectorBody): void => {
    offset++;
    if (body.keyframe) {
      session.identity.keyframe(body.keyframe, 0);
      state.series.input.keyframe(session, body.keyframe);
    } else if (body.samples) atOnce(state.series.input.samples(session, body.samples));
  };
  const tick = async (): Promise<Uint8Array[]> => {
    appendedMs += 1000;
    offset++;
    state.series.clock.tick(appendedMs);
    const told: Uint8Array[] = [];
    for await (const bytes of publisher.tick(offset, appendedMs)) told.push(bytes);
    return told;
  };
  const show = (told: readonly Uint8Array[]): void => {
    for (const bytes of told) shown.take(0, offset++, bytes);
  };

  for (const body of openingBodies(layouts)) take(body);
  for (let second = 0; second < 4; second++) show(await tick());
  const { series } = state.series.store;
  if (shown.series < series || series < 100_000) throw new Error(`${shown.series} of ${series} series are shown`);

  const [changes, readCycles] = cyclesOf(layouts);
  const reading = await measured('samples → series', changes, async () => {
    for (const bytes of readCycles.flat()) {
      take(CollectorMessage.decode(bytes));
      await nextTurn();
    }
  });
  const decoding = await perCpuSecond(changes, () => {
    for (const bytes of readCycles.flat()) CollectorMessage.decode(bytes);
  });
  const keyframes: Uint8Array[][] = [];
  const telling = await measured('series → keyframe', series * rounds, async () => {
    for (let round = 0; round < rounds; round++) {
      state.series.store.keyframeMs = Number.NEGATIVE_INFINITY;
      keyframes.push(await tick());
    }
  });
  const checkpointing = await measured('series → checkpoint', series * rounds, async () => {
    for (let round = 0; round < rounds; round++) for await (const _ of state.blocks());
  });
  const rendering = await measured('render, every value changed', series * rounds, async () => {
    for (let round = 0; round < rounds; round++) await renderAll(shown, true);
  });
  const again = await measured('render, nothing changed', series * rounds, async () => {
    for (let round = 0; round < rounds; round++) await renderAll(shown, false);
  });
  const reference = await promClient(series);
  return [
    { ...reading, reference: decoding, referenceName: 'decoding alone' },
    { ...telling, reference: reading.value, referenceName: 'the row above' },
    { ...checkpointing, reference: telling.value, referenceName: 'a keyframe' },
    { ...rendering, reference: reference.value, referenceName: reference.name },
    { ...again, reference: reference.value, referenceName: reference.name },
  ];
}

function cyclesOf(layouts: ReturnType<typeof syntheticLayouts>): [values: number, cycles: Uint8Array[][]] {
  let values = 0;
  const cycles = Array.from({ length: rounds }, (_, cycle) =>
    cycleBodies(layouts, cycle + 1).map((body) => {
      for (const target of body.samples?.targets ?? []) values += target.values?.length ?? 0;
      return CollectorMessage.encode(body).finish();
    }),
  );
  return [values, cycles];
}

async function renderAll(shown: ShownSeries, changed: boolean): Promise<number> {
  let bytes = 0;
  for (const family of shown.families.values()) {
    if (changed) family.dirty = true;
    await render(family);
    bytes += headerText(family.description, 'text').length;
    for (const piece of family.text) bytes += piece.length;
    await nextTurn();
  }
  return bytes;
}

/** The same number of series in prom-client. */
async function promClient(series: number): Promise<BenchRow> {
  const registry = new Registry();
  const labelNames = ['k8s_node', 'netns'];
  for (let at = 0, made = 0; made < series; at++) {
    const gauge = new Gauge({ name: `jitterscope_reference_${at}`, help: 'A reference.', labelNames, registers: [registry] });
    for (let netns = 0; netns < 300; netns++, made++) gauge.set({ k8s_node: 'node1', netns: `pod-${netns}` }, netns);
  }
  return {
    ...(await measured('prom-client', series * 3, async () => {
      for (let round = 0; round < 3; round++) await registry.metrics();
    })),
    reference: 1,
    referenceName: '',
  };
}

async function measured(name: string, units: number, work: () => Promise<void> | void): Promise<Pick<BenchRow, 'name' | 'value' | 'unit'>> {
  const delay = monitorEventLoopDelay({ resolution: 2 });
  delay.enable();
  await sleep(10);
  const value = await perCpuSecond(units, work);
  await sleep(10);
  delay.disable();
  return { name: `${name} (stall ${(delay.max / 1e6).toFixed(0)} ms)`, value, unit: 'series/core-s' };
}

printRows(await run());
