import pc from 'picocolors';
import { probes } from '../bpf/registry.ts';
import { printable } from '../core/printable.ts';
import { severities } from '../schema/batch.ts';
import { metrics as metricNumbers } from '../schema/record.gen.ts';
import { aggregatorGroup } from '../services/aggregator/main.ts';
import { nameOfEntity } from '../services/aggregator/rules/finding-line.ts';
import type { CounterTotals } from '../services/collector/counters.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Left } from './drain.ts';
import type { Pipeline } from './pipeline.ts';

/** What a run saw, made of it, and lost, by reason; and what stays for the next start, of whom. */
export function summaryText(pipeline: Pipeline, collector: Collector | undefined, left: Left): string {
  const totals = collector?.counters();
  const lines = ['', pc.bold('Summary')];
  if (totals !== undefined) {
    for (const [index, line] of seenLines(totals).entries()) lines.push(`  ${(index === 0 ? 'seen' : '').padEnd(11)} ${line}`);
    lines.push(`  events      ${totals.sum(metricNumbers.EMITTED)} emitted by the kernel`);
    lines.push(`  suppressed  ${totals.sum(metricNumbers.SUPPRESSED)} by the token bucket (counted, not emitted)`);
  }
  for (const { sink, partitions, delivery } of pipeline.sinks.stats()) {
    // One line, however many partitions there are.
    const sum = (what: 'delivered' | 'rejected' | 'repeat') => [...partitions.values()].reduce((total, found) => total + found[what], 0);
    if (partitions.size > 0)
      lines.push(
        `  ${sink.padEnd(11)} ${sum('delivered')} events delivered in all, ${sum('rejected')} rejected, ${sum('repeat')} repeats dropped`,
      );
    if (delivery.possiblyDuplicatedEvents > 0)
      lines.push(
        `  ${sink.padEnd(11)} ${delivery.possiblyDuplicatedEvents} events may be stored twice: nobody could say whether they were stored`,
      );
  }
  for (const state of pipeline.aggregator.partitions().values()) {
    for (const { rule, severity, entity } of state.rules.open())
      lines.push(`  ${pc.bold('open')}        ${severities[severity]} finding ${rule.id}: ${printable(nameOfEntity(entity))}`);
  }
  const lost = lossesOfRun(pipeline, collector);
  const lostInAll = lossesInAll(pipeline);
  if (lost.length === 0 && lostInAll.length === 0) lines.push('  lost        0');
  for (const [reason, count] of lost) lines.push(`  ${pc.yellow('lost')}        ${count} ${reason}`);
  for (const [reason, count] of lostInAll) lines.push(`  ${pc.yellow('lost in all')} ${count} ${reason}`);
  lines.push(...leftLines(left, pipeline));
  return `${lines.join('\n')}\n`;
}

/** One line for each hop that something waits for. */
function leftLines({ spooledMessages, waiting }: Left, { sinks }: Pick<Pipeline, 'sinks'>): string[] {
  const lines: string[] = [];
  if (spooledMessages > 0) lines.push(`  spooled     ${spooledMessages} messages are sent at the next start`);
  if (waiting === undefined)
    lines.push(`  ${pc.yellow('waiting')}     the bus does not answer: what waits on it is not known; nothing of it is lost`);
  for (const { name, messages, events, deletedEvents = 0 } of waiting ?? []) {
    if (name === aggregatorGroup) {
      if (messages > 0) lines.push(`  waiting     aggregator: ${messages} raw messages behind the newest checkpoint`);
      continue;
    }
    const problem = sinks.stats().find(({ sink }) => sink === name)?.problem;
    const why = problem === undefined ? '' : ` (${problem})`;
    if (messages > 0) lines.push(`  waiting     ${name}: ${events ?? 'unreadable'} events in ${messages} messages${why}`);
    if (deletedEvents > 0) lines.push(`  ${pc.yellow('deleted')}     ${name}: ${deletedEvents} events that it had not read`);
  }
  return lines;
}

/** One line a probe: what its counters say was seen. */
function seenLines(totals: CounterTotals): string[] {
  return probes.map(({ metrics }) =>
    metrics.flatMap(({ number, seen }) => (seen === undefined ? [] : [`${totals.sum(number)} ${seen}`])).join(', '),
  );
}

/** Losses by reason; those of none are left out. */
class Losses {
  readonly #byReason = new Map<string, number>();

  add(reason: string, count: number): void {
    if (count > 0) this.#byReason.set(reason, (this.#byReason.get(reason) ?? 0) + count);
  }

  list(): [string, number][] {
    return [...this.#byReason];
  }
}

/** What this run could not keep. What its spool gave up is in what the aggregator counts, too, as soon as that was told of it. */
function lossesOfRun({ deadLetters }: Pipeline, collector: Collector | undefined): [string, number][] {
  const lost = new Losses();
  lost.add('ring_full (the kernel had no room)', collector?.counters().sum(metricNumbers.RING_FULL) ?? 0);
  lost.add('uncounted (the counter map was full)', collector?.counters().uncounted ?? 0);
  for (const [reason, n] of Object.entries(collector?.metrics.skipped ?? {})) lost.add(`${reason} (the spool gave them up)`, n);
  lost.add('dead letters (deleted at bus.deadLettersSize)', deadLetters?.lost ?? 0);
  return lost.list();
}

/** What hops count over all runs, as they do what they deliver. */
function lossesInAll(pipeline: Pipeline): [string, number][] {
  const lost = new Losses();
  for (const state of pipeline.aggregator.partitions().values()) {
    const { gaps, rejected, skipped } = state.dispositions;
    const declared = Object.values(skipped).reduce((sum, n) => sum + n, 0);
    for (const [reason, n] of Object.entries(skipped)) lost.add(`skipped: ${reason}`, n);
    lost.add('gaps (never arrived)', Math.max(0, gaps - declared));
    for (const [reason, n] of Object.entries(rejected)) lost.add(`rejected: ${reason}`, n);
  }
  for (const { sink, partitions } of pipeline.sinks.stats()) {
    for (const [, d] of partitions) for (const [reason, n] of Object.entries(d.lost)) lost.add(`${sink}: ${reason}`, n);
  }
  return lost.list();
}
