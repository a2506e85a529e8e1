import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');
const folder = mkdtempSync(join(tmpdir(), 'rules-cli-'));
const shipped = readdirSync(join(root, 'rules')).length;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rules(...args: string[]): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'rules', ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect(stderr).not.toMatch(/^\s+at .*:\d+|node:internal|This is a defect/m);
  return { code: status, stdout, stderr };
}

const rule = `id: my-rule
title: Many resets
why: To try it out.
entity: pod
signals:
  resets: { counter: snmp.Tcp.OutRsts, window: 10s, unit: per_second }
when: { warning: resets > 5 }
for: 2s
caused_by: [node-softirq-starvation]
summary: "{pod} sends {resets}/s resets"
runbook: https://example.org/runbooks/my-rule
tests:
  - name: many are found
    input: [{ counter: snmp.Tcp.OutRsts, from: 10, to: 40, per_second: 20 }]
    expect:
      - { at: [10, 25], action: opened, severity: warning, pod: shop/web-0 }
      - { at: [40, 100], action: resolved }
  - name: a few are not
    input: [{ counter: snmp.Tcp.OutRsts, from: 10, to: 40, per_second: 5 }]
    expect: []
`;

function write(name: string, content: string): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return name;
}

test("a reader's own rule is checked, listed and tested, and may name shipped rules as its causes", () => {
  const file = write('my-rule.yaml', rule);
  expect(rules('check', file)).toEqual({ code: 0, stdout: 'ok 1 rule\n', stderr: '' });
  expect(rules('list', file).stdout).toBe('my-rule  warning   pod       Many resets\n');
  const { code, stdout } = rules('test', file);
  expect(stdout).toMatch(/^passed my-rule 2 tests, \d+ ms\nok 2 passed, 0 failed\n$/);
  expect(code).toBe(0);
});

test('a test that fails says what was expected and what was found, and ends with 1', () => {
  const file = write('failing.yaml', rule.replace('id: my-rule', 'id: failing').replace('per_second: 5 }', 'per_second: 20 }'));
  const { code, stdout } = rules('test', file);
  expect(stdout).toMatch(
    /failing\.yaml:18: a few are not\n\s+expected nothing more, found warning opened at \d+ of shop\/web-0: shop\/web-0 sends/,
  );
  expect(stdout).toMatch(/not ok 1 passed, 1 failed\n$/);
  expect(code).toBe(1);
  const lines = rules('test', '--json', file).stdout.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as { passed: boolean }).map(({ passed }) => passed)).toEqual([true, false]);
});

test('mistakes are told with file, line and column, also by list and test, and end with 1', () => {
  const file = write('wrong.yaml', rule.replace('snmp.Tcp.OutRsts, window', 'snmp.Tcp.OutRst, window').replace('resets > 5', 'reset > 5'));
  const told = [
    'wrong.yaml:6:22: signals.resets.counter: snmp has no field Tcp.OutRst; did you mean snmp.Tcp.OutRsts?',
    'wrong.yaml:7:18: when.warning: there is no signal reset; did you mean resets?',
    'not ok 2 mistakes in 1 of 1 rule file',
  ];
  expect(rules('check', file)).toEqual({ code: 1, stdout: `${told.join('\n')}\n`, stderr: '' });
  expect(rules('test', file)).toEqual({ code: 1, stdout: `${told.join('\n')}\n`, stderr: '' });
  expect(rules('list', file)).toMatchObject({ code: 1, stdout: expect.stringContaining(told[0]) });
  const { code, stdout } = rules('check', '--json', file);
  expect(JSON.parse(stdout)).toMatchObject({ rules: 1, problems: [{ file: 'wrong.yaml', line: 6, column: 22 }, { line: 7 }] });
  expect(code).toBe(1);
});

test('a mistake in a test is one of the file', () => {
  const file = write(
    'wrong-test.yaml',
    rule.replace('action: opened', 'action: open').replace('from: 10, to: 40, per_second: 5', 'form: 10, per_second: 5'),
  );
  const { code, stdout } = rules('check', file);
  expect(stdout).toContain('wrong-test.yaml:16:33: tests.0.expect.0.action: found "open"; did you mean opened?');
  expect(stdout).toContain('wrong-test.yaml:19:42: tests.1.input.0.form: there is no field form; did you mean from?');
  expect(code).toBe(1);
});

test('a folder is read; what is not there ends with 78', () => {
  mkdirSync(join(folder, 'all'), { recursive: true });
  write(join('all', 'a.yaml'), rule.replace('id: my-rule', 'id: a'));
  write(join('all', 'b.yaml'), rule.replace('id: my-rule', 'id: b'));
  expect(rules('check', 'all').stdout).toBe('ok 2 rules\n');
  expect(rules('check', 'none.yaml')).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/cannot read none\.yaml: .*\nName a rule file/),
  });
  expect(rules('test', 'none.yaml')).toMatchObject({ code: 78 });
});

test('an id that a shipped rule has is refused', () => {
  const file = write('mine.yaml', rule.replace('id: my-rule', 'id: reset-storm'));
  expect(rules('check', file)).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/mine\.yaml:1:5: id: found reset-storm, which .*reset-storm\.yaml is called already/),
  });
});

test('the shipped rules have no mistakes and are listed', () => {
  expect(rules('check')).toEqual({ code: 0, stdout: `ok ${shipped} rules\n`, stderr: '' });
  const listed = rules('list', '--json')
    .stdout.trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; file: string });
  expect(listed).toHaveLength(shipped);
  for (const { id, file } of listed) expect(readFileSync(resolve(folder, file), 'utf8')).toContain(`id: ${id}\n`);
});

test('the rules, params and disabled rules of a configuration count, as they do when it runs', () => {
  mkdirSync(join(folder, 'own'), { recursive: true });
  const params = rule.replace('entity: pod', 'entity: pod\nparams: { rate: 5 }').replace('resets > 5', 'resets > params.rate');
  write(join('own', 'my-rule.yaml'), params.replace('id: my-rule', 'id: configured').replace('per_second: 5 }', 'per_second: 7 }'));
  const configured = (yaml: string): string => write('configuration.yaml', `rules:\n  directory: ${join(folder, 'own')}\n${yaml}`);
  const seven = configured('  params: { configured: { rate: 8 } }\n  disabled: [reset-storm]\n');
  const listed = rules('list', '--json', '--config', seven).stdout.trim().split('\n');
  const rows = listed.map((line) => JSON.parse(line) as { id: string; params: object; runs: boolean });
  expect(rows).toHaveLength(shipped + 1);
  expect(rows.find(({ id }) => id === 'configured')).toMatchObject({ params: { rate: 8 }, runs: true });
  expect(rows.find(({ id }) => id === 'reset-storm')).toMatchObject({ runs: false });
  expect(rules('check', '--config', seven)).toMatchObject({ code: 0, stdout: `ok ${shipped + 1} rules\n` });
  // 7 a second are too many for the rule's own threshold, not for the configured one.
  expect(rules('test', '--config', seven, 'own')).toMatchObject({ code: 0 });
  expect(rules('test', 'own')).toMatchObject({ code: 1 });
  const wrong = configured('  params: { configured: { rat: 8 } }\n');
  expect(rules('check', '--config', wrong)).toMatchObject({
    code: 78,
    stderr: expect.stringContaining('rules.params.configured: there is no param rat; did you mean rate?'),
  });
  expect(rules('check', '--set', 'rules.directory=./nowhere')).toMatchObject({ code: 78 });
});
