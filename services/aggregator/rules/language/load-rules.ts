import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../../core/app-error.ts';
import { suggestion } from '../../../../core/suggestion.ts';
import { ruleError } from '../errors.ts';
import type { Rule, RuleSet, Signal } from '../rule.ts';
import { type RuleFile, type RuleFileOptions, readRuleFile } from './rule-file.ts';
import { crossCheck } from './rule-relations.ts';
import { ruleLimits } from './rule-schema.ts';
import { problemText } from './rule-text.ts';

/** What the configuration says of rules. */
export interface RuleSettings extends RuleFileOptions {
  /** Ids of rules that do not run. */
  readonly disabled: readonly string[];
  /** Params by rule and name. */
  readonly params: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Problems that one error names. */
const maxProblems = 50;

export const defaultRuleSettings: RuleSettings = { sampleIntervalS: 2, disabled: [], params: {} };

/**
 * All rules of some folders, ready to run. Throws RULES_UNREADABLE, and RULES_INVALID with all that is wrong.
 * @param paths folders whose *.yaml files are rules, or such files
 */
export function loadRules(paths: readonly string[], settings: RuleSettings = defaultRuleSettings): RuleSet {
  const files = readRules(paths, settings);
  // A rule that does not run holds up nothing, such as one whose windows are too short for collector.sampleInterval.
  const running = files.filter(({ document }) => document === undefined || !settings.disabled.includes(document.id));
  const problems = [...running.flatMap((file) => file.problems).map(problemText), ...settingProblems(files, settings)];
  if (problems.length > 0) {
    const more = problems.length > maxProblems ? [`and ${problems.length - maxProblems} more`] : [];
    throw ruleError('RULES_INVALID', { problems: [...problems.slice(0, maxProblems), ...more].join('\n') });
  }
  const rules = files.flatMap(({ rule }) => (rule === undefined || settings.disabled.includes(rule.id) ? [] : [rule]));
  return ruleSetOf(rules, settings.params);
}

/** Reads rule files and checks them, alone and together. Throws RULES_UNREADABLE. */
export function readRules(paths: readonly string[], options: RuleFileOptions): RuleFile[] {
  const files = paths.flatMap(ruleFilesOf).map((file) => readRuleFile(file, readText(file), options));
  crossCheck(files);
  return files;
}

/** Rules as a set that can run. */
export function ruleSetOf(rules: readonly Rule[], params: RuleSettings['params'] = {}): RuleSet {
  const signals = new Map<string, Signal>();
  const shared = rules.map((rule) => ({
    ...rule,
    signals: rule.signals.map((one) => {
      const signal = signals.get(one.signal.key) ?? one.signal;
      signals.set(signal.key, signal);
      return { ...one, signal };
    }),
  }));
  const values = new Map(
    shared.map((rule) => [rule.id, Float64Array.from(rule.params, (param) => params[rule.id]?.[param.name] ?? param.default)]),
  );
  const hash = createHash('sha256');
  for (const { id, version } of shared) hash.update(`${id} ${version} ${values.get(id)?.join(' ')}\n`);
  return {
    rules: shared,
    signals: [...signals.values()],
    version: `sha256:${hash.digest('hex').slice(0, 16)}`,
    params: ({ id }) => values.get(id) ?? new Float64Array(0),
  };
}

function settingProblems(files: readonly RuleFile[], { disabled, params }: RuleSettings): string[] {
  const rules = new Map(files.flatMap(({ document }) => (document === undefined ? [] : [[document.id, document]])));
  const ids = [...rules.keys()];
  const unknown = (path: string, id: string): string => `${path}: there is no rule ${id}${suggestion(id, ids)}`;
  return [
    ...disabled.filter((id) => !rules.has(id)).map((id) => unknown('rules.disabled', id)),
    ...Object.entries(params).flatMap(([id, values]) => {
      const rule = rules.get(id);
      if (rule === undefined) return [unknown('rules.params', id)];
      const known = Object.keys(rule.params);
      const wrong = Object.keys(values).filter((name) => !known.includes(name));
      return wrong.map((name) => `rules.params.${id}: there is no param ${name}${suggestion(name, known)}`);
    }),
  ];
}

function ruleFilesOf(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => name.endsWith('.yaml') && !name.startsWith('.'));
    return names.sort().map((name) => join(path, name));
  } catch (thrown) {
    throw ruleError('RULES_UNREADABLE', { file: path, cause: messageOf(thrown) }, thrown);
  }
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > ruleLimits.fileBytes) throw new Error(`found ${size} bytes, expected at most ${ruleLimits.fileBytes}`);
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    throw ruleError('RULES_UNREADABLE', { file, cause: messageOf(thrown) }, thrown);
  }
}
