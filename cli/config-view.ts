import pc from 'picocolors';
import type { LoadedConfig, Setting } from '../core/config/load.ts';
import type { ReloadStatus } from '../core/config/reload.ts';
import { type Origin, originText } from '../core/config/sources.ts';
import { printable } from '../core/printable.ts';

/** One setting, as it is shown. */
interface SettingRow {
  readonly path: string;
  /** As it was written; a secret is not shown. Left out: nothing says it, and there is no default. */
  readonly value?: unknown;
  readonly from: Origin;
  /** Whether a reload changes it while the process runs. */
  readonly live: boolean;
  /** What holds from the next start on. */
  readonly atNextStart?: { readonly value?: unknown; readonly from: Origin };
}

/** How the file was followed. */
interface ReloadRow {
  readonly successes: number;
  readonly failures: number;
  readonly lastSuccessful: boolean;
  readonly lastSuccess: string;
  readonly problem?: string;
}

/** A configuration, as it is shown: JSON. */
export interface ConfigView {
  /** Process that runs with it; left out: none does. */
  readonly pid?: number;
  readonly reloads?: ReloadRow;
  readonly settings: readonly SettingRow[];
}

/** What a process would start with. */
export function viewOfLoaded({ settings }: Pick<LoadedConfig<unknown>, 'settings'>): ConfigView {
  return { settings: settings.map((setting) => rowOf(setting)) };
}

/** What this process runs with. */
export function viewOfRunning(status: ReloadStatus): ConfigView {
  const { successes, failures, lastSuccessful, lastSuccessUnixMs, problem } = status;
  const next = new Map(status.pending.map((pending) => [pending.next.field.path.join('.'), pending.next]));
  const lastSuccess = new Date(lastSuccessUnixMs).toISOString();
  return {
    pid: process.pid,
    reloads: { successes, failures, lastSuccessful, lastSuccess, ...(problem === undefined ? {} : { problem }) },
    settings: status.settings.map((setting) => rowOf(setting, next.get(setting.field.path.join('.')))),
  };
}

/** The view as text: one setting a line, with its source. */
export function viewText({ pid, reloads, settings }: ConfigView): string {
  const lines = [pid === undefined ? 'what jitterscope would start with' : `what process ${pid} runs with`];
  if (reloads !== undefined) {
    const { successes, failures, lastSuccess, problem } = reloads;
    lines.push(`${successes} reloads, ${failures} refused; in effect since ${lastSuccess}`);
    if (problem !== undefined)
      lines.push(pc.red('the last one was refused:'), ...problem.split('\n').map((line) => pc.red(`  ${printable(line)}`)));
  }
  const width = Math.max(...settings.map(({ path }) => path.length));
  for (const { path, value, from, atNextStart } of settings) {
    const source = from.kind === 'default' ? pc.dim('default') : originText(from);
    lines.push(`  ${path.padEnd(width)}  ${valueText(value)}  ${source}`);
    if (atNextStart !== undefined)
      lines.push(
        pc.yellow(`  ${' '.repeat(width)}  from the next start on ${valueText(atNextStart.value)}  ${originText(atNextStart.from)}`),
      );
  }
  return `${lines.join('\n')}\n`;
}

function rowOf(setting: Setting, next?: Setting): SettingRow {
  const { field, origin } = setting;
  const atNextStart = next === undefined ? {} : { atNextStart: { ...shown(next), from: next.origin } };
  return { path: field.path.join('.'), ...shown(setting), from: origin, live: field.live, ...atNextStart };
}

function shown({ field, value }: Setting): { value?: unknown } {
  if (value === undefined) return {};
  return { value: field.secret ? '(not shown)' : value };
}

function valueText(value: unknown): string {
  if (value === undefined) return pc.dim('none');
  return printable(typeof value === 'string' && value !== '' ? value : JSON.stringify(value));
}
