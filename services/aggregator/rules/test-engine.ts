import { atOnce } from '../../../core/pieces.ts';
import { RecordReader } from '../../../schema/record.ts';
import { type RecordFields, writeRecords } from '../../../schema/record-writer.ts';
import { Ends } from '../end-names.ts';
import { SessionState } from '../session.ts';
import { netnsOf, podOf, reset, v4 } from '../test-stream.ts';
import type { Transition } from './finding.ts';
import type { Rule, RuleSet } from './rule.ts';
import { RuleEngine } from './rule-engine.ts';
import { signalsOf } from './window-plan.ts';

/** Second in which the nodes of tests booted. */
export const bootS = 1_790_000_000;

/** Rules as a set, with their defaults as params. */
export function ruleSet(...rules: readonly Rule[]): RuleSet {
  return {
    rules,
    signals: signalsOf(rules),
    version: `sha256:${rules.map(({ id, version }) => id + version).join()}`,
    params: (rule) => Float64Array.from(rule.params, (param) => param.default),
  };
}

/** A rule engine with one node, told of records by second. Pods `web-0` to `web-3` have the namespaces 4100 to 4103; 1 is the node's own. */
export class TestEngine {
  engine: RuleEngine;
  readonly state: SessionState;
  transitions: Transition[] = [];
  readonly #ends = new Ends();
  readonly #reader = new RecordReader();
  #item = 0;

  constructor(rules: RuleSet, node = 'node1') {
    this.state = new SessionState(node, '01'.repeat(16), { bytes: 0 }, { gapItems: 0, skippedItems: {}, kernelLostRecords: {} });
    this.state.firstOffset = { seconds: bootS, nanos: 0 };
    const pods = [0, 1, 2, 3].map((index) => podOf(`web-${index}`, 4100 + index));
    const netns = [0, 1, 2, 3].map((index) => netnsOf(4100 + index, { addresses: [v4(10, 244, 0, index)] }));
    this.state.identity.learn({ pods, netns: [netnsOf(1, { host: true, names: [] }), netnsOf(4200), ...netns] }, 0);
    this.engine = this.#start(rules);
  }

  /** A record at so many seconds behind the boot. */
  record(at: number, fields: RecordFields = {}, isEvent = true): this {
    const ts = Math.round(at * 1e9);
    this.#reader.reset(writeRecords([reset({ net: 4100, ...fields, ts })]));
    this.#reader.next();
    if (ts > this.state.watermarkNs) {
      this.state.watermarkNs = ts;
      atOnce(this.engine.advance(this.state, ts));
    }
    this.#ends.find(this.state, this.#reader, undefined);
    this.engine.record(this.state, this.#reader, this.#ends, this.#item++, isEvent);
    return this;
  }

  /** The node's stream reaches a second. */
  until(at: number): this {
    this.state.watermarkNs = Math.max(this.state.watermarkNs, Math.round(at * 1e9));
    atOnce(this.engine.advance(this.state, this.state.watermarkNs));
    return this;
  }

  /** Goes on from a checkpoint, perhaps with other rules. */
  restart(rules: RuleSet = this.engine.rules): this {
    const blocks = [...this.engine.snapshot()];
    this.engine = this.#start(rules);
    this.engine.restore(blocks, () => this.state);
    return this;
  }

  /** Transitions as `second number action`, seconds behind the boot. */
  get told(): string[] {
    return this.transitions.map(({ atS, number, action, severity }) => `${atS - bootS} ${number} ${action} ${severity}`);
  }

  #start(rules: RuleSet): RuleEngine {
    const engine = new RuleEngine(rules, { cluster: 'default', partition: 0 });
    engine.onTransition = (transition) => void this.transitions.push(transition);
    return engine;
  }
}
