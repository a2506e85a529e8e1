import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AppError } from '../../../../core/app-error.ts';
import { defaultRuleSettings, loadRules, type RuleSettings, readRules } from './load-rules.ts';
import { problemText } from './rule-text.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder of rules: name of the file to what differs from a rule of that name. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'rules-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const defaultSignal = 'resets: { counter: snmp.Tcp.OutRsts, window: 10s }';

function ruleOf(id: string, more = '', signal = defaultSignal, left = 'resets'): string {
  return `id: ${id}\ntitle: t\nwhy: w\nentity: pod\nparams: { most: 3 }\nsignals: { ${signal} }\nwhen: { warning: ${left} > params.most }\nsummary: s\nrunbook: r\n${more}`;
}

function failureOf(paths: readonly string[], settings: Partial<RuleSettings> = {}): AppError {
  try {
    loadRules(paths, { ...defaultRuleSettings, ...settings });
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error('the rules were taken');
}

test('rules of all folders run together, in the order of their names; other files are left alone', () => {
  const first = folderOf({ 'b.yaml': ruleOf('b', 'caused_by: [c]\n'), 'a.yaml': ruleOf('a'), 'notes.txt': 'x', '.hidden.yaml': 'x' });
  const second = folderOf({ 'c.yaml': ruleOf('c', '', 'resets: { counter: snmp.Tcp.OutRsts, window: 20s }') });
  const { rules, signals } = loadRules([first, second]);
  expect(rules.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  expect(signals.map(({ windowS }) => windowS)).toEqual([10, 20]);
  expect(rules[0].signals[0].signal).toBe(rules[1].signals[0].signal);
  expect(signals).toContain(rules[2].signals[0].signal);
});

test('params of the configuration and rules that are switched off make another set', () => {
  const folder = folderOf({ 'a.yaml': ruleOf('a'), 'b.yaml': ruleOf('b') });
  const plain = loadRules([folder]);
  expect(plain.params(plain.rules[0])).toEqual(Float64Array.of(3));
  const set = loadRules([folder], { ...defaultRuleSettings, params: { a: { most: 7 } } });
  expect([set.params(set.rules[0]), set.params(set.rules[1])]).toEqual([Float64Array.of(7), Float64Array.of(3)]);
  expect(set.rules.map(({ version }) => version)).toEqual(plain.rules.map(({ version }) => version));
  const less = loadRules([folder], { ...defaultRuleSettings, disabled: ['a'] });
  expect(less.rules.map(({ id }) => id)).toEqual(['b']);
  expect(new Set([plain.version, set.version, less.version]).size).toBe(3);
  expect(loadRules([folder]).version).toBe(plain.version);
});

test.each<readonly [string, Readonly<Record<string, string>>, Partial<RuleSettings>, string]>([
  ['an id that two have', { 'a.yaml': ruleOf('a'), 'b.yaml': ruleOf('a') }, {}, 'b.yaml:1:5: id: found a, which '],
  [
    'a cause that nobody is',
    { 'a.yaml': ruleOf('abc', 'caused_by: [abd]\n'), 'b.yaml': ruleOf('abx') },
    {},
    'a.yaml:10:13: caused_by.0: there is no rule abd; did you mean abc?',
  ],
  ['a cause of itself', { 'a.yaml': ruleOf('a', 'caused_by: [a]\n') }, {}, 'caused_by.0: found a circle, a <- a'],
  [
    'a circle',
    { 'a.yaml': ruleOf('a', 'caused_by: [b]\n'), 'b.yaml': ruleOf('b', 'caused_by: [c]\n'), 'c.yaml': ruleOf('c', 'caused_by: [a]\n') },
    {},
    'c.yaml:10:13: caused_by.0: found a circle, a <- b <- c <- a',
  ],
  [
    'an unknown rule that is switched off',
    { 'a.yaml': ruleOf('reset-storm') },
    { disabled: ['reset-strom'] },
    'rules.disabled: there is no rule reset-strom; did you mean reset-storm?',
  ],
  [
    'params of an unknown rule',
    { 'a.yaml': ruleOf('a') },
    { params: { b: { most: 1 } } },
    'rules.params: there is no rule b; expected one of a',
  ],
  [
    'an unknown param',
    { 'a.yaml': ruleOf('a') },
    { params: { a: { msot: 1 } } },
    'rules.params.a: there is no param msot; did you mean most?',
  ],
])('%s is an error', (_, files, settings, message) => {
  const failure = failureOf([folderOf(files)], settings);
  expect(failure).toMatchObject({ code: 'RULES_INVALID', exitCode: 78 });
  expect(failure.message).toContain(message);
});

test('what cannot be read is named', () => {
  const folder = folderOf({ 'large.yaml': `# ${'x'.repeat(300_000)}` });
  mkdirSync(join(folder, 'folder.yaml'));
  expect(failureOf([join(folder, 'none.yaml')])).toMatchObject({
    code: 'RULES_UNREADABLE',
    message: expect.stringContaining('none.yaml: ENOENT'),
  });
  expect(failureOf([join(folder, 'large.yaml')]).message).toContain('expected at most 262144');
  expect(failureOf([folder])).toMatchObject({ code: 'RULES_UNREADABLE', message: expect.stringContaining('folder.yaml') });
});

test('a thousand rules are taken, one more is refused', () => {
  const files = Object.fromEntries(
    Array.from({ length: 1001 }, (_, index) => [`r${String(index).padStart(4, '0')}.yaml`, ruleOf(`r${index}`)]),
  );
  const folder = folderOf(files);
  const all = readRules([folder], defaultRuleSettings);
  expect(all.flatMap(({ problems }) => problems).map(problemText)).toEqual([
    expect.stringContaining('r1000.yaml:1:1: found 1001 rules, expected at most 1000'),
  ]);
  rmSync(join(folder, 'r1000.yaml'));
  expect(loadRules([folder]).rules).toHaveLength(1000);
});

test('an error of many mistakes names the first ones, and how many there are', () => {
  const signals = Array.from({ length: 30 }, (_, index) => `s${index}: { counter: none.x, window: 1s }`).join(', ');
  const failure = failureOf([
    folderOf({
      'a.yaml': ruleOf('a', '', `resets: { counter: none.x, window: 1s }, ${signals}`),
      'b.yaml': ruleOf('b', '', `resets: { counter: none.x, window: 1s }, ${signals}`),
    }),
  ]);
  expect(failure.message.split('\n')).toHaveLength(51);
  expect(failure.message).toMatch(/and 12 more$/);
});

test('a rule that is switched off holds up nothing, whatever is wrong with it', () => {
  const folder = folderOf({ 'a.yaml': ruleOf('a', '', 'resets: { counter: snmp.Tcp.OutRsts, window: 2s }'), 'b.yaml': ruleOf('b') });
  expect(failureOf([folder], defaultRuleSettings).message).toContain('a.yaml');
  expect(loadRules([folder], { ...defaultRuleSettings, disabled: ['a'] }).rules.map(({ id }) => id)).toEqual(['b']);
});

test('where counters are read seldom, windows that would hold fewer than two readings are longer', () => {
  const others = 'seen: { record: tcpreset, window: 10s }, long: { counter: snmp.Tcp.InSegs, window: 120s }';
  const folder = folderOf({ 'a.yaml': ruleOf('a', '', `${defaultSignal}, ${others}`, 'resets + seen + long') });
  const windows = (sampleIntervalS: number): number[] =>
    loadRules([folder], { ...defaultRuleSettings, sampleIntervalS }).signals.map(({ windowS }) => windowS);
  expect([windows(2), windows(5), windows(15)]).toEqual([
    [10, 10, 120],
    [10, 10, 120],
    [30, 10, 120],
  ]);
});

test('a rule whose windows are longer is another one, a rule whose windows are as they were is not', () => {
  const folder = folderOf({
    'a.yaml': ruleOf('a'),
    'b.yaml': ruleOf('b', '', 'resets: { record: tcpreset, window: 10s }'),
    'c.yaml': ruleOf('c', '', 'resets: { counter: snmp.Tcp.OutRsts, window: 120s }'),
  });
  const at = (sampleIntervalS: number) => loadRules([folder], { ...defaultRuleSettings, sampleIntervalS });
  const [often, less, seldom] = [at(2), at(5), at(15)];
  expect(less.version).toBe(often.version);
  expect(seldom.version).not.toBe(often.version);
  expect(seldom.rules.filter(({ version }, index) => version !== often.rules[index].version).map(({ id }) => id)).toEqual(['a']);
});
