import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { AppError } from './app-error.ts';
import { type ConfigSources, loadConfig } from './config.ts';
import { duration, size } from './quantity.ts';

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
  expect(loadConfig(schema, {})).toEqual({
    node: {},
    log: { level: 'info' },
    sinks: { loki: { tenantId: '', batchSize: 131_072, linger: 200 }, labels: [] },
    burst: 200,
  });
});

test('the command line is stronger than the environment, that than the file, that than the default', () => {
  const file = fileOf('burst: 1\nnode: {name: file}\nsinks: {loki: {tenantId: file, linger: 1s}}\n');
  const environment = { JITTERSCOPE_NODE__NAME: 'env', JITTERSCOPE_SINKS__LOKI__TENANT_ID: 'env', OTHER_NODE__NAME: 'x' };
  const config = loadConfig(schema, { file, environment, sets: ['node.name=set', 'sinks.labels=[a, b]', 'node.name=last'] });
  expect(config).toMatchObject({
    node: { name: 'last' },
    sinks: { loki: { tenantId: 'env', linger: 1000, batchSize: 131_072 }, labels: ['a', 'b'] },
    burst: 1,
  });
});

test('variables without a section, and unset ones, are not ours', () => {
  expect(loadConfig(schema, { environment: { JITTERSCOPE_BENCH_RECORDS: '5', JITTERSCOPE_NODE__NAME: undefined } }).node).toEqual({});
});

test('a value may hold equals signs, and quotes make a number a string', () => {
  expect(loadConfig(schema, { sets: ['node.name=a=b=c'] }).node.name).toBe('a=b=c');
  expect(loadConfig(schema, { sets: ['node.name="5"'] }).node.name).toBe('5');
});

test.each([
  ['', {}],
  ['# nothing but a comment\n', {}],
  ['---\n...\n', {}],
])('the empty file %j is the defaults', (text) => {
  expect(loadConfig(schema, { file: fileOf(text) }).burst).toBe(200);
});

test.each<[string, ConfigSources, RegExp]>([
  ['an unknown section', { sets: ['sink.loki=1'] }, /^sink: no such setting; did you mean sinks\?$/],
  ['a misspelt field', { sets: ['sinks.loki.tenentId=x'] }, /^sinks\.loki\.tenentId: no such setting; did you mean tenantId\?$/],
  ['a field of nothing like', { sets: ['log.somethingElse=x'] }, /^log\.somethingElse: no such setting; expected one of level$/],
  ['another case', { sets: ['sinks.loki.tenantid=x'] }, /did you mean tenantId\?/],
  ['an unknown variable', { environment: { JITTERSCOPE_LOG__LEVL: 'info' } }, /^log\.levl: no such setting; did you mean level\?$/],
  ['a wrong type', { sets: ['burst=many'] }, /^burst: .*expected number, received string/],
  ['out of range', { sets: ['burst=1001'] }, /^burst: .*<=1000/],
  ['not a whole number', { sets: ['burst=1.5'] }, /^burst: .*expected int/],
  ['not one of', { sets: ['log.level=loud'] }, /^log\.level: .*"debug"\|"info"/],
  ['a scalar where a section is', { sets: ['node=5'] }, /^node: .*expected object, received number/],
  ['a list where a section is', { sets: ['node=[a]'] }, /^node: .*expected object, received array/],
  ['a size without its unit', { sets: ['sinks.loki.batchSize=5'] }, /^sinks\.loki\.batchSize: found 5, expected a size such as 64MiB/],
  ['a duration of nonsense', { sets: ['sinks.loki.linger=soon'] }, /^sinks\.loki\.linger: found "soon", expected a duration such as 30s/],
  ['a null', { sets: ['node.name=null'] }, /^node\.name: .*expected string, received null/],
  ['no equals sign', { sets: ['node.name'] }, /^--set node\.name: expected path\.to\.key=value$/],
  ['no path', { sets: ['=x'] }, /^--set =x: expected path\.to\.key=value$/],
  ['an empty step', { sets: ['node..name=x'] }, /node\.\.name.*expected path\.to\.key=value/],
  ['a value that is no YAML', { sets: ['node.name=[a'] }, /^--set node\.name=\[a: .*not.* YAML/],
  ['a variable that is no YAML', { environment: { JITTERSCOPE_NODE__NAME: '{a' } }, /JITTERSCOPE_NODE__NAME.*not.* YAML/],
  ['a name of the prototype', { sets: ['__proto__.polluted=1'] }, /__proto__/],
  ['another one', { sets: ['constructor.prototype.polluted=1'] }, /^constructor: no such setting/],
])('%s is named', (_, sources, message) => {
  expect(failure(sources)).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) });
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test('every problem is named at once', () => {
  const { message } = failure({ sets: ['burst=0', 'log.level=x', 'nod.name=a'] });
  expect(message.split('\n')).toHaveLength(3);
});

test.each([
  ['a: b\n  c: d: e\n', /at line 1/],
  ['node: {name: a\nburst: 1\n', /at line \d/],
  ['burst: 1\nburst: 2\n', /at line 2/],
  ['- a\n', /expected a mapping of sections/],
  ['just text', /expected a mapping of sections/],
  ['node: *missing\n', /missing/],
  [
    `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'.replace(/./g, (k) => `${k}: &${k} [${`*${String.fromCharCode(k.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
    /alias/i,
  ],
])('the file %j is refused with its place', (text, cause) => {
  const error = failure({ file: fileOf(text) });
  expect(error).toMatchObject({ code: 'CONFIG_SYNTAX', message: expect.stringMatching(cause) });
  expect(error.message).toContain(join(dir, 'config.yaml'));
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
  expect(loadConfig(schema, { file })).toEqual({ a: { b: 1, c: { d: 2 } } });
});
