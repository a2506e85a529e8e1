import type { CollectorBody, NetworkNamespace, TargetSamples } from '../../../proto/collect.ts';
import { rawOf, TestPartition, tickOf } from '../test-stream.ts';
import { MetricTotals } from './test-metric-totals.ts';

/** A source with a counter, a gauge, and a field that nobody knows. */
export const layout = { id: 1, source: 'snmp', fields: ['Tcp.RetransSegs', 'Tcp.CurrEstab', 'Tcp.NewInLinux'] };
/** The counter, as totals call it. */
export const retrans = 'snmp Tcp.RetransSegs';
/** A session behind the first one. */
export const sessionTwo = '02'.repeat(16);

/** A node's collector, as far as samples go: messages of one session in order. */
export class Collector {
  readonly #partition: TestPartition;
  readonly session: string;
  #seq = 0;

  constructor(partition: TestPartition, session = '01'.repeat(16)) {
    this.#partition = partition;
    this.session = session;
  }

  async say(...bodies: Omit<CollectorBody, 'seq'>[]): Promise<this> {
    await this.#partition.feed(...bodies.map((body) => rawOf({ ...body, seq: ++this.#seq }, { session: this.session })));
    return this;
  }

  open(netns: readonly NetworkNamespace[], bootId = 'boot-1', more: object = {}): Promise<this> {
    const keyframe = { nextItem: 0, bootId, firstOffset: { seconds: 1_790_000_000, nanos: 0 }, identity: { netns: [...netns] }, ...more };
    return this.say({ keyframe }, { samples: { layouts: [layout], end: true } });
  }

  read(...targets: TargetSamples[]): Promise<this> {
    return this.say({ samples: { targets, end: true } });
  }
}

/** A partition that remembers its messages. */
export class RecordedPartition extends TestPartition {
  readonly values: Uint8Array[] = [];

  override feed(...values: readonly Uint8Array[]): Promise<this> {
    this.values.push(...values);
    return super.feed(...values);
  }
}

/** A partition and its metrics, tick by tick. */
export class Run {
  readonly partition = new RecordedPartition();
  readonly totals = new MetricTotals();
  #second = 0;
  #taken = 0;

  collector(session?: string): Collector {
    return new Collector(this.partition, session);
  }

  async ticks(count: number): Promise<void> {
    for (let tick = 0; tick < count; tick++) {
      this.#second++;
      await this.partition.feed(tickOf(this.#second, 1_790_000_000_000 + this.#second * 1000));
      for (const bytes of this.partition.metricBatches.slice(this.#taken)) this.totals.take(bytes);
      this.#taken = this.partition.metricBatches.length;
    }
  }
}

/** A reading of a namespace. */
export const target = (netns: number, second: number, values: number[], more: Partial<TargetSamples> = {}): TargetSamples => ({
  layout: 1,
  netns,
  bootNs: second * 1e9,
  values,
  all: true,
  ...more,
});
