import { probes } from '../../../../bpf/registry.ts';
import type { Message } from '../../../../core/bus/bus.ts';
import { PartitionState } from '../../partition-state.ts';
import { type PartitionSteps, partitionSteps } from '../../partition-steps.ts';
import { aggregate } from '../../pipeline.ts';
import type { RefusedInput } from '../../raw-input.ts';
import { probeSeriesOf } from '../../series/probe-series.ts';
import type { Transition } from '../finding.ts';
import type { RuleSet } from '../rule.ts';
import { differences } from './compare.ts';
import type { RuleTest } from './rule-test.ts';
import { simulatedSeconds } from './simulated-stream.ts';

/** What came of one test. */
export interface RuleTestResult {
  readonly ruleId: string;
  readonly name: string;
  readonly line: number;
  /** What is not as expected, one line each; none: it passed. */
  readonly differences: readonly string[];
  readonly ms: number;
}

const cluster = 'test';
const events = new Map(probes.map((probe) => [probe.number, probe.event]));
const seriesOptions = { maxSeries: 10_000, probes: probeSeriesOf(probes) };
const partitionOptions = { cluster, events, maxHeldBytes: 2 ** 20, maxBatchBytes: 256 * 1024 };

/**
 * Runs an embedded test: the messages of its simulated nodes go through the aggregator's own pipeline, in memory. The
 * same test always finds the same.
 * @param rules the rule of the test and its causes, with the test's params
 */
export async function runRuleTest(test: RuleTest, rules: RuleSet): Promise<RuleTestResult> {
  const started = performance.now();
  const found = await transitionsOf(simulatedSeconds(test, rules), rules);
  const own = found.filter(({ rule }) => rule.id === test.ruleId);
  const { name, expect } = test.document;
  return { ruleId: test.ruleId, name, line: test.line, differences: differences(expect, own), ms: performance.now() - started };
}

/** All that the rules find in raw messages. @param fetches the messages, as many at once as a fetch has */
export async function transitionsOf(fetches: Iterable<readonly Uint8Array[]>, rules: RuleSet): Promise<readonly Transition[]> {
  const state = new PartitionState(seriesOptions, { set: rules, cluster, partition: 0 });
  const steps = partitionSteps(state, partitionOptions, { events: undefined, metrics: undefined });
  const found: Transition[] = [];
  const write = state.rules.onTransition;
  state.rules.onTransition = (transition) => {
    found.push(transition);
    write(transition);
  };
  for (const messages of fetches) await take(messages, steps);
  return found;
}

function take(values: readonly Uint8Array[], steps: PartitionSteps): Promise<number> {
  const first = steps.state.rawOffset;
  const messages = values.map((value, index): Message => ({ offset: first + index, value }));
  const refuse = ({ error }: RefusedInput): Promise<void> => Promise.reject(error);
  const ports = { publish: async () => undefined, publishMetrics: async () => undefined, refuse };
  return new Promise((resolve, reject) => {
    const fetch = { topic: 'raw', partition: 0, messages, holes: [], next: first + values.length };
    aggregate(fetch, steps, ports).subscribe({ next: resolve, error: reject });
  });
}
