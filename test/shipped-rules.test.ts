import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readRules } from '../services/aggregator/rules/language/load-rules.ts';
import { problemText } from '../services/aggregator/rules/language/rule-text.ts';
import { readRuleTests } from '../services/aggregator/rules/testing/rule-test.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = readRules([join(root, 'rules')], { sampleIntervalS: 2 });

test('the shipped rules, and their tests, have no mistakes', () => {
  for (const file of files) readRuleTests(file);
  expect(files.flatMap(({ problems }) => problems).map(problemText)).toEqual([]);
  expect(files.length).toBeGreaterThanOrEqual(11);
});

test.each(files.map((file) => ({ id: basename(file.file, '.yaml'), file })))(
  '$id is called as its file, and has a runbook',
  ({ id, file }) => {
    expect(file.document?.id).toBe(id);
    expect(file.document?.runbook).toBe(`docs/runbooks/${id}.md`);
    expect(readFileSync(join(root, 'docs', 'runbooks', `${id}.md`), 'utf8').length).toBeGreaterThan(500);
  },
);

test.each(files.map(({ document }) => ({ id: document?.id, document })))(
  '$id says what it cannot see, when it is wrong, and where its thresholds come from',
  ({ document }) => {
    expect(document?.blind_spots.length).toBeGreaterThan(0);
    expect(document?.false_positives.length).toBeGreaterThan(0);
    const unexplained = Object.entries(document?.params ?? {}).filter(([, { unit, source }]) => unit === undefined || source === undefined);
    expect(unexplained.map(([name]) => name)).toEqual([]);
  },
);

test.each(files.map((file) => ({ id: file.document?.id, file })))(
  '$id has five tests or more, of what it finds and of what it does not',
  ({ file }) => {
    const tests = readRuleTests(file);
    expect(tests.length).toBeGreaterThanOrEqual(5);
    const expected = tests.map(({ document }) => document.expect.length);
    expect(expected.filter((count) => count > 0).length).toBeGreaterThan(0);
    expect(expected.filter((count) => count === 0).length).toBeGreaterThan(0);
  },
);

test('each runbook is of a rule', () => {
  const runbooks = readdirSync(join(root, 'docs', 'runbooks'));
  expect(runbooks.filter((name) => !existsSync(join(root, 'rules', `${basename(name, '.md')}.yaml`)))).toEqual([]);
});
