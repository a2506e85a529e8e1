import { realpathSync } from 'node:fs';
import { relative } from 'node:path';
import pc from 'picocolors';
import { printable } from '../core/printable.ts';
import { readRules } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleFile } from '../services/aggregator/rules/language/rule-file.ts';
import { problemText } from '../services/aggregator/rules/language/rule-text.ts';
import { readRuleTests } from '../services/aggregator/rules/testing/rule-test.ts';
import { type Config, type ConfigOptions, readConfig } from './config.ts';
import { writeAll } from './output.ts';
import { configuredRules, ruleFolders, ruleSettings } from './rule-set.ts';

export interface RulesCommand extends ConfigOptions {
  /** Rule files or folders of the command line; none: those that run. */
  readonly files: readonly string[];
  readonly json: boolean;
}

/** Exit code of a command whose answer is no. */
export const negative = 1;
const severities = ['info', 'warning', 'critical'] as const;

/** `jitterscope rules list`: what runs by default, or what the files say. Resolves with the exit code. */
export async function listRules(command: RulesCommand): Promise<number> {
  const config = readConfig(command);
  const { own } = readRuleFiles(command.files, config);
  const { disabled, params: configured } = config.rules;
  const rows = own.flatMap(({ document, file }) => {
    if (document === undefined) return [];
    const { id, title, entity, when, params, caused_by: causedBy, runbook } = document;
    const values = Object.entries(params).map(([name, param]) => [name, configured[id]?.[name] ?? param.default]);
    const severity = severities.filter((name) => when[name] !== undefined);
    const runs = !disabled.includes(id);
    return [
      {
        id,
        title,
        entity,
        severities: severity,
        params: Object.fromEntries(values) as object,
        causedBy,
        runbook,
        file: shownPath(file),
        runs,
      },
    ];
  });
  const width = Math.max(0, ...rows.map(({ id }) => id.length));
  const lines = command.json
    ? rows.map((row) => JSON.stringify(row))
    : rows.map(
        (row) =>
          `${pc.bold(row.id.padEnd(width))}  ${row.severities.at(-1)?.padEnd(8)}  ${row.entity.padEnd(8)}  ${row.title}${row.runs ? '' : ' (rules.disabled)'}`,
      );
  await print(lines);
  return own.some(({ problems }) => problems.length > 0) ? await tellProblems(own, command.json) : 0;
}

/** `jitterscope rules check`: names every mistake with its place. Resolves with the exit code. */
export async function checkRules(command: RulesCommand): Promise<number> {
  const config = readConfig(command);
  const { own } = readRuleFiles(command.files, config);
  for (const file of own) readRuleTests(file);
  if (own.some(({ problems }) => problems.length > 0)) return await tellProblems(own, command.json);
  // What the configuration says of rules is judged with those that it makes run.
  if (command.files.length === 0) configuredRules(config);
  await print([command.json ? JSON.stringify({ rules: own.length, problems: [] }) : `${pc.green('ok')} ${counted(own.length, 'rule')}`]);
  return 0;
}

/** The files of the command, read together with the rules that run, which they may name as causes. */
export function readRuleFiles(
  files: readonly string[],
  config: Pick<Config, 'rules' | 'collector'>,
): { readonly own: readonly RuleFile[]; readonly all: readonly RuleFile[] } {
  const options = ruleSettings(config);
  const folders = ruleFolders(config);
  if (files.length === 0) {
    const all = readRules(folders, options);
    return { own: all, all };
  }
  const named = readRules(files, options).map(({ file }) => realpathSync(file));
  const others = readRules(folders, options)
    .map(({ file }) => file)
    .filter((file) => !named.includes(realpathSync(file)));
  const all = readRules([...others, ...named], options);
  return { own: all.slice(others.length), all };
}

/** Prints what is wrong with rule files. Resolves with the exit code. */
export async function tellProblems(files: readonly RuleFile[], json: boolean): Promise<number> {
  const problems = files.flatMap((file) => file.problems.map((problem) => ({ ...problem, file: shownPath(problem.file) })));
  if (json) await print([JSON.stringify({ rules: files.length, problems })]);
  else {
    const wrong = new Set(problems.map(({ file }) => file)).size;
    const sum = `${counted(problems.length, 'mistake')} in ${wrong} of ${counted(files.length, 'rule file')}`;
    await print([...problems.map((problem) => printable(problemText(problem))), `${pc.red('not ok')} ${sum}`]);
  }
  return negative;
}

/** A path as people here would write it. */
export function shownPath(file: string): string {
  const near = relative(process.cwd(), file);
  return near.startsWith('..') ? file : near;
}

/** 1 rule, 2 rules. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

export async function print(lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await writeAll(process.stdout, `${lines.join('\n')}\n`);
}
