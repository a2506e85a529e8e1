import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { AppError } from '../app-error.ts';
import { duration, size } from '../quantity.ts';
import { checkConfig, loadConfig } from './load.ts';
import { type ConfigSources, originText } from './sources.ts';
import { secret } from './traits.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

const schema = z.strictObject({
  node: z.strictObject({ name: z.string().min(1).optional() }).prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info']).default('info') }).prefault({}),
  sinks: z
    .strictObject({
      loki: z.strictObject({ tenantId: z.string().default(''), batchSize: size('128KiB'), linger: duration('200ms') }).prefault({}),
      labels: z.array(z.string()).default([]),
    })
    .prefault({}),
  burst: z.int().min(1).max(1000).default(200),
});

function fileOf(text: string): string {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, text);
  return file;
}

function configOf(sources: ConfigSources): z.output<typeof schema> {
  return loadConfig(schema, sources).config;
}

function failure(sources: ConfigSources): AppError {
  try {
    loadConfig(schema, sources);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AppError);
    expect((thrown as AppError).exitCode).toBe(78);
    return thrown as AppError;
  }
  throw new Error('the configuration was accepted');
}

test('without any source every field has its default', () => {
  expect(configOf({})).toEqual({
    node: {},
    log: { level: 'info' },
    sinks: { loki: { tenantId: '', batchSize: 131_072, linger: 200 }, labels: [] },
    burst: 200,
  });
});

test('the command line is stronger than the environment, that than the file, that than the default', () => {
  const file = fileOf('burst: 1\nnode: {name: file}\nsinks: {loki: {tenantId: file, linger: 1s}}\n');
  const environment = { JITTERSCOPE_NODE__NAME: 'env', JITTERSCOPE_SINKS__LOKI__TENANT_ID: 'env', OTHER_NODE__NAME: 'x' };
  const config = configOf({ file, environment, sets: ['node.name=set', 'sinks.labels=[a, b]', 'node.name=last'] });
  expect(config).toMatchObject({
    node: { name: 'last' },
    sinks: { loki: { tenantId: 'env', linger: 1000, batchSize: 131_072 }, labels: ['a', 'b'] },
    burst: 1,
  });
});

test('variables without a section, and unset ones, are not ours', () => {
  expect(configOf({ environment: { JITTERSCOPE_BENCH_RECORDS: '5', JITTERSCOPE_NODE__NAME: undefined } }).node).toEqual({});
});

test('a value may hold equals signs, and quotes make a number a string', () => {
  expect(configOf({ sets: ['node.name=a=b=c'] }).node.name).toBe('a=b=c');
  expect(configOf({ sets: ['node.name="5"'] }).node.name).toBe('5');
});

test.each([
  ['', {}],
  ['# nothing but a comment\n', {}],
  ['---\n...\n', {}],
])('the empty file %j is the defaults', (text) => {
  expect(configOf({ file: fileOf(text) }).burst).toBe(200);
});

test.each<[string, ConfigSources, RegExp]>([
  ['an unknown section', { sets: ['sink.loki=1'] }, /^--set: sink: no such setting; did you mean sinks\?$/],
  ['a misspelt field', { sets: ['sinks.loki.tenentId=x'] }, /^--set: sinks\.loki\.tenentId: no such setting; did you mean tenantId\?$/],
  ['a field of nothing like', { sets: ['log.somethingElse=x'] }, /^--set: log\.somethingElse: no such setting; expected one of level$/],
  ['another case', { sets: ['sinks.loki.tenantid=x'] }, /did you mean tenantId\?/],
  [
    'an unknown variable',
    { environment: { JITTERSCOPE_LOG__LEVL: 'info' } },
    /^JITTERSCOPE_LOG__LEVL: log\.levl: no such setting; did you mean level\?$/,
  ],
  ['a wrong type', { sets: ['burst=many'] }, /^--set: burst: found "many", expected a whole number from 1 to 1000$/],
  ['out of range', { sets: ['burst=1001'] }, /^--set: burst: found 1001, expected a whole number from 1 to 1000$/],
  ['not a whole number', { sets: ['burst=1.5'] }, /^--set: burst: found 1\.5, expected a whole number from 1 to 1000$/],
  ['not one of', { sets: ['log.level=loud'] }, /^--set: log\.level: found "loud", expected one of debug, info$/],
  ['a scalar where a section is', { sets: ['node=5'] }, /^--set: node: found 5, expected a section with name$/],
  ['a list where a section is', { sets: ['node=[a]'] }, /^--set: node: found \["a"\], expected a section with name$/],
  ['a wrong item of a list', { sets: ['sinks.labels=[a, 1]'] }, /^--set: sinks\.labels\.1: found 1, expected text$/],
  [
    'a size without its unit',
    { sets: ['sinks.loki.batchSize=5'] },
    /^--set: sinks\.loki\.batchSize: found 5, expected a size such as 64MiB/,
  ],
  [
    'a duration of nonsense',
    { sets: ['sinks.loki.linger=soon'] },
    /^--set: sinks\.loki\.linger: found "soon", expected a duration such as 30s/,
  ],
  ['a null', { sets: ['node.name=null'] }, /^--set: node\.name: found null, expected text that is not empty$/],
  ['no equals sign', { sets: ['node.name'] }, /^--set node\.name: expected path\.to\.key=value$/],
  ['no path', { sets: ['=x'] }, /^--set =x: expected path\.to\.key=value$/],
  ['an empty step', { sets: ['node..name=x'] }, /node\.\.name.*expected path\.to\.key=value/],
  ['a value that is no YAML', { sets: ['node.name=[a'] }, /^--set node\.name: the value is not valid YAML: Flow sequence/],
  [
    'a variable that is no YAML',
    { environment: { JITTERSCOPE_NODE__NAME: '{a' } },
    /^JITTERSCOPE_NODE__NAME: the value is not valid YAML: Flow map/,
  ],
  ['a name of the prototype', { sets: ['__proto__.polluted=1'] }, /__proto__/],
  ['another one', { sets: ['constructor.prototype.polluted=1'] }, /^--set: constructor: no such setting/],
])('%s is named', (_, sources, message) => {
  expect(failure(sources)).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) });
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test('every problem is named at once', () => {
  const { message } = failure({ sets: ['burst=0', 'log.level=x', 'nod.name=a'] });
  expect(message.split('\n')).toHaveLength(3);
});

test.each([
  ['a: b\n  c: d: e\n', '1:4', /found "b", expected .*mapping/],
  ['node: "a" b\n', '1:11', /found "b", expected valid YAML \(Unexpected scalar/],
  ['node: {name: a\nburst: 1\n', '2:1', /found "burst: 1", expected .*Flow map/],
  ['burst: 1\nburst: 2\n', '2:1', /found "burst: 2", expected .*unique/],
  ['# comment\n- a\n', '2:1', /found "# comment", expected a mapping of sections/],
  ['just text', '1:1', /found "just text", expected a mapping of sections/],
  ['node:\n  name: *missing\n', '2:9', /found "\*missing", expected .*missing/],
  [
    `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'.replace(/./g, (k) => `${k}: &${k} [${`*${String.fromCharCode(k.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
    '2:8',
    /alias/i,
  ],
])('the file %j is refused with its place %s', (text, place, says) => {
  const error = failure({ file: fileOf(text) });
  const file = join(dir, 'config.yaml');
  expect(error).toMatchObject({ code: 'CONFIG_SYNTAX', message: expect.stringMatching(says) });
  expect(error.message).toContain(`${file}:${place}: not valid YAML: found `);
  expect(`${error.details.file}:${error.details.line}:${error.details.column}`).toBe(`${file}:${place}`);
});

test.each([
  ['log:\n  level:   loud\n', '2:12: log.level: found "loud", expected one of debug, info'],
  ['log: {level: loud}\n', '1:14: log.level: found "loud", expected one of debug, info'],
  ['node:\n\n  nam: a\n', '3:3: node.nam: no such setting; did you mean name?'],
  ['sinks:\n  labels:\n    - a\n    - 5\n', '4:7: sinks.labels.1: found 5, expected text'],
  ['sinks: &s\n  loki: 5\n', '2:9: sinks.loki: found 5, expected a section with tenantId, batchSize, linger'],
  ['5: x\n', '1:1: 5: no such setting; expected one of node, log, sinks, burst'],
  ['burst: 0x7ff\n', '1:8: burst: found 2047, expected a whole number from 1 to 1000'],
])('in the file %j, %s', (text, says) => {
  const file = fileOf(text);
  const { message, details } = failure({ file });
  expect(message).toBe(`${file}:${says}`);
  expect(`${details.line}:${details.column}: ${details.path}:`).toBe(
    says.slice(0, says.indexOf(':', says.lastIndexOf(`${details.path}`)) + 1),
  );
  expect(details.found).toBeDefined();
  expect(details.expected).toBeDefined();
});

test('a value is told with its source; the strongest one, where there are several', () => {
  const file = fileOf('burst: 5\nnode:\n  name: a\nsinks: {loki: {tenantId: x}}\n');
  const environment = { JITTERSCOPE_NODE__NAME: 'b', JITTERSCOPE_SINKS__LOKI__LINGER: '1s' };
  const { settings } = loadConfig(schema, { file, environment, sets: ['sinks.loki={tenantId: y}', 'sinks.labels=[a]'] });
  const told = settings.map(({ field, value, origin }) => [field.path.join('.'), value, originText(origin)]);
  expect(told).toEqual([
    ['node.name', 'b', 'JITTERSCOPE_NODE__NAME'],
    ['log.level', 'info', 'default'],
    ['sinks.loki.tenantId', 'y', '--set'],
    ['sinks.loki.batchSize', '128KiB', 'default'],
    ['sinks.loki.linger', '200ms', 'default'],
    ['sinks.labels', ['a'], '--set'],
    ['burst', 5, `${file}:1:8`],
  ]);
});

test.each([
  ['a section that is given as a value', ['store=hush']],
  ['a list in place of a section', ['store=[hush]']],
  ['a password that is YAML of another kind', ['store.password=*hush']],
  ['an open quote', ['store.password="hush']],
  ['a --set without =', ['store.password:hush']],
  ['a URL with a password', ['url=http://user:hush@']],
  ['a number with a user', ['count=http://user:hush@host']],
])('%s is refused without telling the secret', (_, sets) => {
  const url = z.string().refine((text) => !text.includes('@'), { error: 'expected a URL without a user' });
  const store = z.strictObject({ password: secret(z.string().optional()) }).prefault({});
  const schema = z.strictObject({ store, url: url.optional(), count: z.int().optional() });
  const problems = checkConfig(schema, { sets });
  expect(problems.length).toBeGreaterThan(0);
  expect(JSON.stringify(problems)).not.toContain('hush');
});

test.each([
  'password: "hush',
  'password: [hush',
  "store:\n  apiKey: 'hush\nother: 1",
  'token: *hush',
  'token: hush: hush',
  'password:\n\thush',
])('a file that cannot be read as YAML does not tell the secret in %o', (text) => {
  const problems = checkConfig(z.looseObject({}), { file: 'config.yaml', text });
  expect(problems.length).toBeGreaterThan(0);
  expect(JSON.stringify(problems)).not.toContain('hush');
});

test('a secret is never told, not even when it is wrong', () => {
  const withSecret = z.strictObject({ password: secret(z.string().min(20).optional()), tokens: secret(z.array(z.int()).default([])) });
  const sources = { sets: ['password=hunter2', 'tokens=[hunter3]', 'tokens.x=[hunter4'] };
  for (const set of sources.sets) {
    const problems = checkConfig(withSecret, { sets: [set] });
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain('hunter');
  }
});

test('a check tells every problem of a file with its place, and nothing of a good one', () => {
  const file = fileOf('burst: 0\nnod: {}\nlog:\n  level: loud\n');
  expect(checkConfig(schema, { file }).map(({ path, line, column }) => [path, line, column])).toEqual([
    ['burst', 1, 8],
    ['nod', 2, 1],
    ['log.level', 4, 10],
  ]);
  expect(checkConfig(schema, { file: fileOf('burst: 1\n') })).toEqual([]);
  expect(checkConfig(schema, { file: fileOf('burst: [\n') })).toMatchObject([{ file, line: 2, column: 1 }]);
  expect(checkConfig(schema, { file: join(dir, 'missing.yaml') })).toMatchObject([{ file: expect.stringContaining('missing.yaml') }]);
});

test('a file that cannot be read is named', () => {
  expect(failure({ file: join(dir, 'missing.yaml') })).toMatchObject({
    code: 'CONFIG_UNREADABLE',
    message: expect.stringContaining('missing.yaml'),
  });
  expect(failure({ file: dir })).toMatchObject({ code: 'CONFIG_UNREADABLE' });
});

test('a section with nothing in it is as if it were not there', () => {
  const schema = z.strictObject({
    a: z.strictObject({ b: z.number().default(1), c: z.strictObject({ d: z.number().default(2) }).prefault({}) }).prefault({}),
  });
  const file = join(dir, 'empty-section.yaml');
  writeFileSync(file, 'a:\n  c:\n    # d: 3\n');
  expect(loadConfig(schema, { file }).config).toEqual({ a: { b: 1, c: { d: 2 } } });
});
