import type { Message } from '../../../core/bus/bus.ts';
import { Turn } from '../../../core/turn.ts';
import { PartitionState } from '../partition-state.ts';
import { type PartitionOptions, partitionSteps } from '../partition-steps.ts';
import { processInput } from '../pipeline.ts';
import { decodeRaw, type RawInput } from '../raw-input.ts';
import type { SeriesOptions } from '../series/partition-series.ts';
import { type ExplanationReport, explanationReport } from './explanation-report.ts';
import type { RuleSet } from './rule.ts';

/** Messages are looked at for so long before other work of the process gets its turn. */
const turnMs = 5;
/** What came this long behind a time, by the partition's clock, cannot be about it. */
const maxDelayMs = 60_000;
/** A message moves a node's clock at most this far, but for one that was away. */
const maxJumpS = 5;

interface PastOptions extends PartitionOptions {
  readonly rules: RuleSet;
  readonly partition: number;
  readonly series: SeriesOptions;
  readonly signal?: AbortSignal | undefined;
}

/** What a rule made of an entity at a time that is over. */
export interface PastExplanation {
  /** Append times of the first message that was looked at and of the last, Unix ms; undefined: there was none. */
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  /** Undefined: nothing was known of the entity by then. */
  readonly explanation: ExplanationReport | undefined;
}

/** What is asked. */
interface Asked {
  readonly rule: string;
  readonly entity: string;
  /** Unix seconds. */
  readonly atS: number;
}

/**
 * Runs the messages of a raw partition through fresh rules up to a time, and explains what one of them made of an entity
 * then. What happened before the first message is not known to them.
 */
export async function explainPast(messages: AsyncIterable<Message>, asked: Asked, options: PastOptions): Promise<PastExplanation> {
  const { rules, cluster, partition, series, signal } = options;
  const state = new PartitionState(series, { set: rules, cluster, partition });
  // Nothing is written: only what the rules make of it counts.
  const silentUntil = { rawOffset: Number.MAX_SAFE_INTEGER, ordinal: 0, nextEvent: 0 };
  const steps = partitionSteps(state, options, { events: silentUntil, metrics: undefined });
  const turn = new Turn(turnMs);
  let fromMs: number | undefined;
  let toMs: number | undefined;
  let explanation: ExplanationReport | undefined;
  for await (const message of messages) {
    if (signal?.aborted) break;
    if (turn.isOver()) await turn.next();
    const input = decodeRaw(message, partition);
    if (input.kind === 'refused') continue;
    fromMs ??= input.appendedMs;
    // Before this message, all that is of the time was known.
    if (input.appendedMs > asked.atS * 1000 + maxDelayMs) break;
    toMs = input.appendedMs;
    await turn.through(processInput(input, steps));
    if (isNear(input, asked.atS)) {
      const found = state.rules.explain(asked.rule, asked.entity);
      // Who was heard of only later was not known then.
      if (found?.atS !== undefined && found.atS > asked.atS + maxJumpS) break;
      if (found !== undefined) explanation = explanationReport(found);
      if (found?.atS !== undefined && found.atS >= asked.atS) break;
    }
  }
  return { fromMs, toMs, explanation: explanation ?? lastOf(state, asked) };
}

/** Where the messages end before the time: what was made of the last of them. */
function lastOf({ rules }: PartitionState, { rule, entity, atS }: Asked): ExplanationReport | undefined {
  const found = rules.explain(rule, entity);
  return found?.atS === undefined || found.atS > atS ? undefined : explanationReport(found);
}

/** Only then the answer can change from message to message. */
function isNear({ appendedMs }: RawInput, atS: number): boolean {
  return appendedMs >= (atS - 2) * 1000;
}
