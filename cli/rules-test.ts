import pc from 'picocolors';
import { printable } from '../core/printable.ts';
import { type RuleSettings, ruleSetOf } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleFile } from '../services/aggregator/rules/language/rule-file.ts';
import type { Rule, RuleSet } from '../services/aggregator/rules/rule.ts';
import { type RuleTest, readRuleTests } from '../services/aggregator/rules/testing/rule-test.ts';
import { type RuleTestResult, runRuleTest } from '../services/aggregator/rules/testing/run-rule-test.ts';
import { readConfig } from './config.ts';
import { counted, negative, print, type RulesCommand, readRuleFiles, shownPath, tellProblems } from './rules.ts';

interface FileResult {
  readonly file: string;
  readonly ruleId: string;
  readonly results: readonly RuleTestResult[];
}

/** `jitterscope rules test`: runs the tests that rule files hold. Resolves with the exit code. */
export async function testRules(command: RulesCommand): Promise<number> {
  const config = readConfig(command);
  const { own, all } = readRuleFiles(command.files, config);
  const tests = own.map((file) => ({ file, tests: readRuleTests(file) }));
  if (own.some(({ problems }) => problems.length > 0)) return await tellProblems(own, command.json);
  const rules = new Map(all.flatMap(({ rule }) => (rule === undefined ? [] : [[rule.id, rule]])));
  const sum = { passed: 0, failed: 0 };
  for (const { file, tests: ofFile } of tests) {
    const results: RuleTestResult[] = [];
    for (const test of ofFile) results.push(await runRuleTest(test, rulesFor(test, rules, config.rules.params)));
    sum.failed += results.filter(({ differences }) => differences.length > 0).length;
    sum.passed += results.filter(({ differences }) => differences.length === 0).length;
    const told = { file: shownPath(file.file), ruleId: idOf(file), results };
    await print(
      command.json
        ? results.map((result) => JSON.stringify({ file: told.file, ...result, passed: result.differences.length === 0 }))
        : linesOf(told),
    );
  }
  if (!command.json) await print([`${sum.failed > 0 ? pc.red('not ok') : pc.green('ok')} ${sum.passed} passed, ${sum.failed} failed`]);
  return sum.failed > 0 ? negative : 0;
}

/** The rule of a test with the configured params and the test's own, and what may explain its findings. */
function rulesFor({ ruleId, document }: RuleTest, rules: ReadonlyMap<string, Rule>, params: RuleSettings['params']): RuleSet {
  const needed = new Set([ruleId]);
  for (const id of needed) for (const cause of rules.get(id)?.causedBy ?? []) needed.add(cause);
  const set = [...needed].flatMap((id) => rules.get(id) ?? []);
  return ruleSetOf(set, { ...params, [ruleId]: { ...params[ruleId], ...document.params } });
}

function idOf({ document, file }: RuleFile): string {
  return document?.id ?? file;
}

function linesOf({ file, ruleId, results }: FileResult): string[] {
  const failed = results.filter(({ differences }) => differences.length > 0);
  const ms = results.reduce((sum, result) => sum + result.ms, 0);
  const line = `${failed.length > 0 ? pc.red('failed') : 'passed'} ${pc.bold(ruleId)} ${counted(results.length, 'test')}, ${Math.round(ms)} ms`;
  return [
    line,
    ...failed.flatMap(({ name, line: at, differences }) => [
      `  ${file}:${at}: ${printable(name)}`,
      ...differences.map((text) => `    ${printable(text)}`),
    ]),
  ];
}
