import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../core/app-error.ts';
import type { Message } from '../core/bus/bus.ts';
import { readCapture } from '../core/capture.ts';
import { askControl } from '../core/control.ts';
import { lockDataDir } from '../core/lock.ts';
import { createLog, logOf } from '../core/log.ts';
import { suggestion } from '../core/suggestion.ts';
import { topics } from '../proto/bus.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import { ruleError } from '../services/aggregator/rules/errors.ts';
import { type ExplanationReport, explanationReport } from '../services/aggregator/rules/explanation-report.ts';
import { explainPast, type PastExplanation } from '../services/aggregator/rules/past.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import { type Aggregation, aggregationOf } from './aggregation.ts';
import { openBus } from './bus.ts';
import { type ConfigOptions, readConfig } from './config.ts';
import { explanationText } from './explanation-text.ts';
import { interruptedExitCode, untilInterrupted } from './interruption.ts';
import { writeAll } from './output.ts';
import type { Pipeline } from './pipeline.ts';
import { shortSocketPath } from './socket-path.ts';

export interface ExplainCommand extends ConfigOptions {
  readonly dataDir: string;
  readonly rule: string;
  /** shop/web-0, a network namespace by name or cookie, a node, `partition 0`. */
  readonly entity: string;
  /** Unix seconds; undefined: now. */
  readonly atS: number | undefined;
  /** A capture to look at in place of the raw log. */
  readonly capture: string | undefined;
  readonly json: boolean;
}

/** What is answered: an explanation, and of which messages it was made when it is about the past. */
export interface ExplainAnswer {
  readonly partition: number;
  readonly explanation: ExplanationReport;
  /** Where the messages begin, and end; ISO 8601. */
  readonly from?: string;
  readonly to?: string;
}

/** `jitterscope rules explain`: why a rule fired, or did not. Resolves with the exit code. */
export async function explain(command: ExplainCommand): Promise<number> {
  const stop = untilInterrupted();
  for await (const answer of answersOf(command, stop)) {
    await writeAll(process.stdout, `${command.json ? JSON.stringify(answer) : explanationText(answer)}\n`, stop);
  }
  return interruptedExitCode();
}

async function* asked({ dataDir, rule, entity, atS }: ExplainCommand, stop: AbortSignal): AsyncGenerator<ExplainAnswer> {
  const path = shortSocketPath(join(dataDir, 'control.sock'));
  const params = { rule, entity, ...(atS === undefined ? {} : { at: atS }) };
  for await (const answer of askControl(path, 'explain', params, stop)) yield answer as ExplainAnswer;
}

/** The past of a data folder that no process works on. */
async function* ofDataFolder(command: ExplainCommand, atS: number, signal: AbortSignal): AsyncGenerator<ExplainAnswer> {
  const config = readConfig(command);
  const aggregation = aggregationOf(config);
  const lock = await lockDataDir(command.dataDir);
  const log = logOf(createLog(config.log.level, config.log.format), 'bus');
  const bus = await openBus(config, command.dataDir, { log, signal });
  try {
    const of = { rule: command.rule, entity: command.entity, atS };
    for (let partition = 0; partition < bus.partitions(topics.raw); partition++) {
      const { earliest, next } = await bus.offsets(topics.raw, partition);
      const past = await explainPast(rawMessages(bus, partition, earliest, next, signal), of, { ...aggregation, partition, signal });
      yield answerOf(past, partition, of, aggregation.rules);
    }
  } finally {
    await bus.close();
    await lock.release();
  }
}

async function* answersOf(command: ExplainCommand, stop: AbortSignal): AsyncGenerator<ExplainAnswer> {
  const { capture, atS, dataDir } = command;
  if (capture !== undefined) {
    yield* ofCapture(command, capture, stop);
    return;
  }
  try {
    yield* asked(command, stop);
  } catch (thrown) {
    const isAlone = thrown instanceof AppError && thrown.code === 'CONTROL_UNREACHABLE' && existsSync(join(dataDir, 'bus'));
    if (!isAlone || atS === undefined) throw thrown;
    yield* ofDataFolder(command, atS, stop);
  }
}

async function* ofCapture(command: ExplainCommand, file: string, signal: AbortSignal): AsyncGenerator<ExplainAnswer> {
  const aggregation = aggregationOf(readConfig(command));
  const of = { rule: command.rule, entity: command.entity, atS: command.atS ?? Number.POSITIVE_INFINITY };
  const past = await explainPast(messagesOf(file), of, { ...aggregation, partition: 0, signal });
  yield answerOf(past, 0, of, aggregation.rules);
}

async function* messagesOf(file: string): AsyncGenerator<Message> {
  let offset = 0;
  for await (const value of readCapture(file)) yield { offset: offset++, value };
}

/** What a running process explains by. */
interface ExplainedPipeline extends Pick<Pipeline, 'bus'> {
  readonly aggregator: Pick<Aggregator, 'partitions' | 'rules'>;
  readonly aggregation: Aggregation;
}

/** Answers of a running process. Throws EXPLAIN_NO_PARTITION when it is not the one to ask. @param params rule and entity; `at`, Unix seconds, for the past */
export async function* explainRunning(
  { bus, aggregator, aggregation }: ExplainedPipeline,
  params: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<ExplainAnswer> {
  const [rule, entity] = [String(params.rule), String(params.entity)];
  const of = { rule, entity, atS: Number(params.at) };
  const rules = aggregator.rules() ?? aggregation.rules;
  const partitions = aggregator.partitions();
  if (partitions.size === 0) throw ruleError('EXPLAIN_NO_PARTITION');
  let found = false;
  for (const [partition, state] of partitions) {
    if (params.at === undefined) {
      const explanation = await state.messages.between(() => {
        const made = state.rules.explain(rule, entity);
        return made && explanationReport(made);
      });
      if (explanation === undefined) continue;
      yield { partition, explanation };
    } else {
      const { earliest, next } = await bus.offsets(topics.raw, partition);
      const past = await explainPast(rawMessages(bus, partition, earliest, next, signal), of, { ...aggregation, rules, partition, signal });
      yield answerOf(past, partition, of, rules);
    }
    found = true;
  }
  if (!found) throw unknown(of, rules.rules);
}

async function* rawMessages(
  bus: Pipeline['bus'],
  partition: number,
  from: number,
  until: number,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  if (from === until) return;
  for await (const { messages } of bus.read(topics.raw, partition, from, { until, signal })) yield* messages;
}

function answerOf(
  { fromMs, toMs, explanation }: PastExplanation,
  partition: number,
  of: { readonly rule: string; readonly entity: string; readonly atS: number },
  rules: RuleSet,
): ExplainAnswer {
  if (fromMs !== undefined && of.atS * 1000 < fromMs) {
    throw ruleError('EXPLAIN_TOO_EARLY', { at: timeText(of.atS * 1000), partition, from: timeText(fromMs) });
  }
  const reach = { ...(fromMs === undefined ? {} : { from: timeText(fromMs) }), ...(toMs === undefined ? {} : { to: timeText(toMs) }) };
  if (explanation === undefined) throw unknown(of, rules.rules, reach);
  return { partition, explanation, ...reach };
}

function timeText(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

/** Either the rule does not run, or nobody knows the entity. */
function unknown(
  { rule, entity }: { readonly rule: string; readonly entity: string },
  rules: RuleSet['rules'],
  { from = 'the start', to = 'now' }: Partial<Pick<ExplainAnswer, 'from' | 'to'>> = {},
) {
  const ids = rules.map(({ id }) => id);
  if (!ids.includes(rule)) return ruleError('EXPLAIN_UNKNOWN_RULE', { rule, suggestion: suggestion(rule, ids) });
  return ruleError('EXPLAIN_UNKNOWN_ENTITY', { rule, entity, from, to });
}
