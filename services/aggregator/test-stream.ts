import { probes } from '../../bpf/registry.ts';
import type { Fetch, Message } from '../../core/bus/bus.ts';
import { RawMessage } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type NetworkNamespace, type Pod } from '../../proto/collect.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import { type RecordFields, writeRecords } from '../../schema/record-writer.ts';
import type { OutputEnd } from './event-output.ts';
import { noRules, PartitionState } from './partition-state.ts';
import { type PartitionOptions, type PartitionSteps, partitionSteps } from './partition-steps.ts';
import { aggregate } from './pipeline.ts';
import type { RefusedInput } from './raw-input.ts';
import type { RuleSet } from './rules/rule.ts';
import type { SeriesOptions } from './series/partition-series.ts';
import { probeSeriesOf } from './series/probe-series.ts';

/** How the registered probes' records become events. */
export const events = new Map(probes.map((probe) => [probe.number, probe.event]));

/** How samples become metrics. */
export const seriesOptions = { maxSeries: 200_000, probes: probeSeriesOf(probes) };

export const sessionOne = '01'.repeat(16);

/** A raw message of a session at an append time. */
export function rawOf(body: CollectorBody, at: { node?: string; session?: string; appendedMs?: number } = {}): Uint8Array {
  const ms = at.appendedMs ?? 0;
  return RawMessage.encode({
    appended: { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 },
    node: at.node ?? 'node1',
    session: Buffer.from(at.session ?? sessionOne, 'hex'),
    message: CollectorMessage.encode(body).finish(),
  }).finish();
}

export function tickOf(number: number, appendedMs: number): Uint8Array {
  const appended = { seconds: Math.floor(appendedMs / 1000), nanos: (appendedMs % 1000) * 1e6 };
  return RawMessage.encode({ appended, tick: { number } }).finish();
}

/** A record of tcpreset that its event shows all of. */
export function reset(fields: RecordFields = {}): RecordFields {
  return {
    ts: 5_000_000_000,
    probe: 1,
    variant: 1,
    flags: recordFlags.SKB | recordFlags.SERVER,
    net: 4101,
    saddr: [10, 244, 1, 2],
    daddr: [10, 244, 1, 3],
    sport: 81,
    dport: 40_512,
    family: 2,
    proto: 6,
    side: 2,
    code: 3,
    ...fields,
  };
}

/** A batch of `count` records from an item number on; `fields` may depend on the item. */
export function batchOf(firstItem: number, count: number, fields: (item: number) => RecordFields = () => reset()) {
  const records = writeRecords(Array.from({ length: count }, (_, index) => fields(firstItem + index)));
  return { firstItem, count, records, clockOffset: { seconds: 1_790_000_000, nanos: 0 } };
}

export function netnsOf(cookie: number, more: Partial<NetworkNamespace> = {}): NetworkNamespace {
  return { cookie, inode: 4_026_532_000 + cookie, names: [`ns-${cookie}`], addresses: [], fromBootNs: 0, toBootNs: 0, ...more };
}

/** A Pod that has a namespace, with one container of the cgroup 1000 + cookie. */
export function podOf(name: string, netns: number, more: Partial<Pod> = {}): Pod {
  const containers = [{ id: `c-${name}`, name: 'app', cgroups: [1000 + netns], sampledCgroup: 2000 + netns }];
  return { sandboxId: `s-${name}`, uid: `u-${name}`, namespace: 'shop', name, netns, containers, fromBootNs: 0, toBootNs: 0, ...more };
}

/** 16 bytes of an IPv4 address. */
export function v4(a: number, b: number, c: number, d: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d);
}

/** One partition without a bus: raw messages in, lines out. */
export class TestPartition {
  readonly state: PartitionState;
  readonly steps: PartitionSteps;
  /** MetricBatches that were published. */
  readonly metricBatches: Uint8Array[] = [];
  readonly lines: string[] = [];
  readonly refused: RefusedInput[] = [];
  /** Namespace and Pod columns of `lines`. */
  readonly columns: string[] = [];
  /** Running numbers of the events in `lines`. */
  readonly numbers: number[] = [];
  readonly origins: { readonly rawOffset: number; readonly ordinal: number }[] = [];
  /** Days on which what `lines` come from was appended. */
  readonly appendedDays: number[] = [];

  constructor(
    options: Partial<PartitionOptions> & { readonly silentUntil?: OutputEnd; readonly rules?: RuleSet } = {},
    series: SeriesOptions = seriesOptions,
  ) {
    const { silentUntil, rules = noRules, ...more } = options;
    this.state = new PartitionState(series, { set: rules, cluster: 'default', partition: 0 });
    const defaults = { cluster: 'default', events, maxHeldBytes: 8 * 2 ** 20, maxBatchBytes: 256 * 1024 };
    this.steps = partitionSteps(this.state, { ...defaults, ...more }, { events: silentUntil, metrics: undefined });
  }

  /** Feeds raw messages as one fetch, and closes the batch behind it. */
  async feed(...values: readonly Uint8Array[]): Promise<this> {
    const first = this.state.rawOffset;
    const messages = values.map((value, index): Message => ({ offset: first + index, value }));
    await this.fetch({ topic: 'raw', partition: 0, messages, holes: [], next: first + values.length });
    this.flush();
    return this;
  }

  fetch(fetch: Fetch): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ports = {
        publish: async (batches: readonly Uint8Array[]) => this.#take(batches),
        publishMetrics: async (batch: Uint8Array) => void this.metricBatches.push(batch),
        refuse: async (input: RefusedInput) => void this.refused.push(input),
      };
      aggregate(fetch, this.steps, ports).subscribe({ next: resolve, error: reject });
    });
  }

  flush(): void {
    this.steps.output.flush();
    this.#take(this.steps.output.finished());
  }

  get parsed(): EventDocument[] {
    return this.lines.map((line) => JSON.parse(line) as EventDocument);
  }

  get ids(): number[] {
    return this.parsed.map(({ event }) => Number(event.id.split('-')[1]));
  }

  #take(batches: readonly Uint8Array[]): void {
    for (const bytes of batches) {
      const view = decodeEventBatch(bytes);
      for (let row = 0; row < view.count; row++) {
        this.lines.push(Buffer.from(view.line(row)).toString());
        this.columns.push(`${view.namespace(row)}/${view.pod(row)}`);
        this.numbers.push(view.eventNumber(row));
        this.appendedDays.push(view.appendedDay(row));
        this.origins.push({ rawOffset: view.rawOffset(row), ordinal: view.ordinal(row) });
      }
    }
  }
}

/** The parts of an event that tests look at. */
export interface EventDocument {
  '@timestamp': string;
  message: string;
  event: { id: string; action: string; reason?: string };
  source: { ip: string; port: number };
  destination: { ip: string; port: number; nat?: { ip: string; port: number }; kubernetes?: { pod?: { name: string } } };
  process?: { pid: number; name?: string };
  kubernetes?: { namespace: string; pod: { name: string; uid: string } };
  container?: { id: string; name?: string };
  jitterscope: {
    netns: { name?: string; cookie?: number; inode?: number };
    peer?: { netns: { name?: string } };
    identity: { source: string; destination: string };
    suppressed: number;
  };
}

/** Checks the loss identity of dispositions.ts to the item. Returns what is off, or undefined. */
export function identityFault(state: PartitionState): string | undefined {
  const d = state.dispositions;
  const rejected = Object.values(d.rejected).reduce((sum, n) => sum + n, 0);
  const dispositions = d.events + d.counted + rejected + d.repeats + d.held;
  if (d.itemsIn !== dispositions) return `itemsIn ${d.itemsIn}, but ${dispositions} have a disposition: ${JSON.stringify(d)}`;
  const expected = d.itemsIn - d.repeats + d.gaps;
  if (state.expectedItems !== expected)
    return `expected ${state.expectedItems}, but itemsIn - repeats + gaps is ${expected}: ${JSON.stringify(d)}`;
  return undefined;
}
