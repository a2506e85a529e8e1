import type { CollectorBody, Identity, ProbeGap } from '../../../proto/collect.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, sessionOne, TestPartition, tickOf } from '../test-stream.ts';
import type { Rule, RuleSet, Signal } from './rule.ts';
import { testRule } from './test-rule.ts';

/** When the partition of tests begins, and where the node's boot clock is then, seconds. */
export const unixS = 1_790_000_000;
export const bootS = 1000;
/** From the node's boot clock to time. */
export const clockOffset = { seconds: unixS - bootS, nanos: 0 };
/** A gauge and a counter. */
const layouts = [
  { id: 1, source: 'sock', fields: ['F'] },
  { id: 2, source: 'netstat', fields: ['TcpExt.ListenOverflows'] },
];

/** The node itself, and web-0 and web-1 with the namespaces 4101 and 4102. */
export const places = {
  netns: [netnsOf(1, { host: true, names: [] }), netnsOf(4101), netnsOf(4102)],
  pods: [podOf('web-0', 4101), podOf('web-1', 4102)],
  nodeCgroups: [1],
};

/** A session of a node, second by second; `at` is seconds behind the start of the partition, unless its clock is another. */
export class TestNode {
  partition: TestPartition;
  readonly session: string;
  readonly offset: { seconds: number; nanos: number };
  #seq: number;
  #item = 0;

  constructor(partition: TestPartition, { session = sessionOne, offset = clockOffset, seq = 0 } = {}) {
    this.partition = partition;
    this.session = session;
    this.offset = offset;
    this.#seq = seq;
  }

  async say(at: number, body: CollectorBody): Promise<void> {
    await this.partition.feed(rawOf({ ...body, seq: ++this.#seq }, { session: this.session, appendedMs: (unixS + at) * 1000 }));
  }

  keyframe(at: number, more: { identity?: Identity; bootId?: string; counters?: object[]; bootS?: number } = {}): Promise<void> {
    const { bootS: now = bootS + at, ...rest } = more;
    const keyframe = { nextItem: this.#item, part: 0, parts: 1, bootId: 'b', bootNs: now * 1e9, firstOffset: this.offset, ...rest };
    return this.say(at, { keyframe: { identity: places, ...keyframe } });
  }

  /** The boot clock is so far. */
  heartbeat(at: number, now = bootS + at, probeGaps: readonly ProbeGap[] = []): Promise<void> {
    return this.say(at, { heartbeat: { bootNs: now * 1e9, clockOffset: this.offset, nextItem: this.#item, probeGaps: [...probeGaps] } });
  }

  /** Resets of web-0 in a second. */
  async resets(at: number, count: number, now = bootS + at): Promise<void> {
    const first = this.#item;
    this.#item += count;
    const records = batchOf(first, count, (item) => reset({ ts: Math.floor((now + (item - first) / count) * 1e9) }));
    await this.say(at, { batch: { ...records, clockOffset: this.offset } });
  }

  /** A cycle that reads a value of web-0, as counter and as gauge, or nothing that changed. */
  cycle(at: number, value: number | undefined, full = false, now = bootS + at): Promise<void> {
    const targets =
      value === undefined ? [] : layouts.map(({ id }) => ({ layout: id, netns: 4101, bootNs: now * 1e9, values: [value], all: true }));
    return this.say(at, { samples: { layouts, targets, end: true, full } });
  }

  tick(at: number): Promise<unknown> {
    return this.partition.feed(tickOf(at + 1, (unixS + at) * 1000));
  }

  /** Goes on with another aggregator, from a checkpoint. */
  async restart(rules: RuleSet): Promise<void> {
    const { lines, state } = this.partition;
    const blocks: Uint8Array[] = [];
    for await (const block of state.blocks()) blocks.push(block);
    this.partition = new TestPartition({ rules });
    this.partition.lines.push(...lines);
    this.partition.state.restore(structuredClone(state.snapshot()), blocks);
  }

  /** Steps of findings: `<second behind the start> <action> <reason>`. */
  get told(): string[] {
    return this.partition.parsed
      .filter(({ event }) => event.action.startsWith('anomaly-'))
      .map((document) => {
        const at = Date.parse(document['@timestamp']) / 1000 - unixS;
        return [at, document.event.action.replace('anomaly-', ''), document.event.reason ?? ''].join(' ').trim();
      });
  }
}

/** A signal of what `TestNode.cycle` tells. */
export function cycleSignal(kind: 'counter' | 'gauge', more: Partial<Signal> = {}): Signal {
  const { source, fields } = layouts[kind === 'gauge' ? 0 : 1];
  return {
    key: `${source}.${fields[0]} ${kind}`,
    input: { kind: 'counter', counter: { source, field: fields[0], kind }, per: undefined, where: undefined, by: undefined },
    aggregation: kind === 'gauge' ? 'last' : 'sum',
    windowS: 10,
    minVolume: 0,
    absent: 'false',
    scope: 'entity',
    ...more,
  };
}

/** A rule that fires while a signal is beyond 5. */
export function beyondFive(signal: Signal, more: Partial<Rule> = {}): Rule {
  return testRule({
    signals: [{ name: 'value', unit: undefined, signal }],
    when: [{ severity: 2, condition: (slots) => slots[0] > 5 }],
    summary: { source: '{entity}: {value}', render: ({ entity, signal }) => `${entity}: ${signal(0)}` },
    ...more,
  });
}
