import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { eventually } from '../../test/lab/eventually.ts';
import { errorTable } from '../app-error.ts';
import type { Log } from '../log.ts';
import { loadConfig } from './load.ts';
import { type ConfigChange, ConfigReloader } from './reload.ts';
import { live } from './traits.ts';

const schema = z.strictObject({
  log: z.strictObject({ level: live(z.enum(['info', 'warn']).default('warn')) }).prefault({}),
  port: z.int().default(1),
  rules: z.strictObject({ directory: live(z.string().optional()), disabled: live(z.array(z.string()).default([])) }).prefault({}),
});
type Config = z.output<typeof schema>;

const ruleError = errorTable({ RULE_BROKEN: { message: 'rule {id} is broken', retryable: false, remedy: 'Mend it.' } });

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Entry {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

function setUp(text: string, sets: readonly string[] = []) {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-reload-'));
  const file = join(dir, 'config.yaml');
  const write = (content: string): void => writeFileSync(file, content);
  write(text);
  const entries: Entry[] = [];
  const at = (level: string) => (fields: object, message: string) => void entries.push({ level, fields: { ...fields }, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const sources = { file, sets };
  const reloader = new ConfigReloader<Config>({
    schema,
    sources,
    loaded: loadConfig(schema, sources),
    named: ({ rules }) => (rules.directory === undefined ? [] : [rules.directory]),
    log,
    watch: { settleMs: 10, maxSettleMs: 100, pollMs: 50 },
  });
  const changes: ConfigChange<Config>[] = [];
  reloader.onReload((change) => () => void changes.push(change));
  closing.push(async () => {
    await reloader.close();
    rmSync(dir, { recursive: true });
  });
  return { dir, file, write, reloader, entries, changes };
}

test('a live field takes effect; one that needs a restart is named, once, and stays', async () => {
  const { write, reloader, entries, changes } = setUp('log: {level: warn}\n');
  reloader.start();
  write('log: {level: info}\nport: 2\n');
  await eventually('it is reloaded', () => changes.length === 1);
  expect(changes[0]).toMatchObject({ config: { log: { level: 'info' }, port: 1 }, previous: { log: { level: 'warn' } } });
  expect([...changes[0].changed]).toEqual(['log.level']);
  expect(reloader.status).toMatchObject({ successes: 1, failures: 0, lastSuccessful: true });
  expect(reloader.status.pending).toMatchObject([{ running: { value: 1 }, next: { value: 2, origin: { kind: 'file', line: 2 } } }]);
  write('log: {level: warn}\nport: 2\n');
  await eventually('it is reloaded again', () => changes.length === 2);
  const restart = entries.filter(({ fields }) => fields.code === 'CONFIG_RESTART_NEEDED');
  expect(restart).toMatchObject([{ level: 'warn', fields: { settings: ['port'] }, message: 'takes effect at the next start: port' }]);
  write('port: 1\n');
  await eventually('nothing waits any more', () => reloader.status.pending.length === 0);
});

test('a file with mistakes changes nothing, and says where and what', async () => {
  const { file, write, reloader, entries, changes } = setUp('log: {level: info}\n');
  reloader.start();
  write('log:\n  level: loud\n');
  await eventually('it is refused', () => reloader.status.failures === 1);
  expect(entries.at(-1)).toEqual({
    level: 'error',
    message: `the configuration stays as it was: ${file}:2:10: log.level: found "loud", expected one of info, warn`,
    fields: {
      code: 'CONFIG_INVALID',
      remedy: expect.stringContaining('config check'),
      file,
      line: 2,
      column: 10,
      path: 'log.level',
      found: '"loud"',
      expected: 'one of info, warn',
      heldBack: 0,
    },
  });
  expect(reloader.status).toMatchObject({ lastSuccessful: false, problem: expect.stringContaining('"loud"') });
  write('log: [\n');
  await eventually('it is refused, too', () => reloader.status.failures === 2);
  expect(entries.at(-1)?.fields).toMatchObject({ code: 'CONFIG_SYNTAX', line: 2, column: 1 });
  rmSync(file);
  await eventually('that it is gone is told', () => reloader.status.failures === 3);
  expect(entries.at(-1)?.fields).toMatchObject({ code: 'CONFIG_UNREADABLE', file });
  expect(changes).toEqual([]);
  write('log: {level: info}\n');
  await eventually('it is right again', () => reloader.status.lastSuccessful);
  expect([...changes[0].changed]).toEqual([]);
});

test('what the command line says stays stronger', async () => {
  const { write, reloader, changes } = setUp('log: {level: warn}\n', ['log.level=warn']);
  reloader.start();
  write('log: {level: info}\nrules: {disabled: [a]}\n');
  await eventually('it is reloaded', () => changes.length === 1);
  expect([...changes[0].changed]).toEqual(['rules.disabled']);
  expect(changes[0].config.log.level).toBe('warn');
});

test('a hook that cannot prepare refuses the whole configuration; one that fails later is told', async () => {
  const { write, reloader, entries, changes } = setUp('');
  reloader.onReload(({ config }) => {
    if (config.rules.disabled.includes('broken')) throw ruleError('RULE_BROKEN', { id: 'broken' });
    if (!config.rules.disabled.includes('late')) return undefined;
    return () => {
      throw new Error('too late');
    };
  });
  reloader.start();
  write('rules: {disabled: [broken]}\nlog: {level: info}\n');
  await eventually('it is refused', () => reloader.status.failures === 1);
  expect(changes).toEqual([]);
  expect(entries.at(-1)).toMatchObject({ level: 'error', fields: { code: 'RULE_BROKEN' }, message: expect.stringContaining('is broken') });
  write('rules: {disabled: [late]}\n');
  await eventually('it is told', () => reloader.status.failures === 2);
  expect(entries.at(-1)?.message).toBe('a part of the configuration did not take effect: too late');
  expect(changes).toHaveLength(1);
  write('');
  await eventually('it is right again', () => reloader.status.lastSuccessful);
});

test('files that a configuration names are followed, also those of a folder that it names later', async () => {
  const { dir, write, reloader, changes } = setUp('');
  const rules = join(dir, 'rules');
  mkdirSync(rules);
  reloader.start();
  write(`rules: {directory: ${rules}}\n`);
  await eventually('the folder is named', () => changes.length === 1);
  for (let round = 0; round < 3; round++) {
    const before = changes.length;
    writeFileSync(join(rules, 'a.yaml'), `${round}`);
    await eventually(`change ${round} of a rule is told`, () => changes.length > before);
  }
  expect(changes.slice(1).every(({ changed }) => changed.size === 0)).toBe(true);
});

test('a change between the first reading and the watch is not missed', async () => {
  const { write, reloader, changes } = setUp('log: {level: warn}\n');
  write('log: {level: info}\n');
  reloader.start();
  await eventually('it is reloaded', () => changes.length === 1);
});

/** A hook that refuses rules that no file of the folder has. */
function needRules(reloader: ConfigReloader<Config>): void {
  reloader.onReload(({ config: { rules } }) => {
    for (const id of rules.disabled) if (!existsSync(join(rules.directory ?? '', `${id}.yaml`))) throw ruleError('RULE_BROKEN', { id });
    return undefined;
  });
}

test('a configuration that was refused for a file that it names takes effect when that file comes', async () => {
  const { dir, write, reloader, changes } = setUp('');
  needRules(reloader);
  const rules = join(dir, 'rules');
  mkdirSync(rules);
  write(`rules: {directory: ${rules}}\n`);
  reloader.start();
  await eventually('the folder is named', () => changes.length === 1);
  write(`rules: {directory: ${rules}, disabled: [mine]}\n`);
  await eventually('it is refused', () => !reloader.status.lastSuccessful);
  writeFileSync(join(rules, 'other.yaml'), '');
  await eventually('it is refused again', () => reloader.status.failures > 1);
  expect(reloader.status.lastSuccessful).toBe(false);
  writeFileSync(join(rules, 'mine.yaml'), '');
  await eventually('it is taken', () => reloader.status.lastSuccessful);
  expect(changes.at(-1)?.config.rules.disabled).toEqual(['mine']);
  expect(reloader.status.settings.find(({ field }) => field.path.join('.') === 'rules.disabled')?.value).toEqual(['mine']);
});

test('so it does when it is the folder that comes', async () => {
  const { dir, write, reloader, changes } = setUp('');
  needRules(reloader);
  reloader.start();
  const rules = join(dir, 'rules');
  write(`rules: {directory: ${rules}, disabled: [mine]}\n`);
  await eventually('it is refused', () => !reloader.status.lastSuccessful);
  mkdirSync(rules);
  writeFileSync(join(rules, 'mine.yaml'), '');
  await eventually('it is taken', () => reloader.status.lastSuccessful && changes.length > 0);
  expect(changes.at(-1)?.config.rules).toEqual({ directory: rules, disabled: ['mine'] });
});

test('files named at the start that changed before they were watched are read', async () => {
  const { reloader, changes } = setUp('', [`rules.directory=${mkdtempSync(join(tmpdir(), 'jitterscope-reload-rules-'))}`]);
  const [rules] = reloader.status.settings.flatMap(({ field, value }) =>
    field.path.join('.') === 'rules.directory' ? [String(value)] : [],
  );
  closing.push(async () => rmSync(rules, { recursive: true }));
  let seen: readonly string[] = [];
  reloader.onReload(() => () => void (seen = readdirSync(rules)));
  writeFileSync(join(rules, 'early.yaml'), '');
  reloader.start();
  await eventually('the file is seen', () => seen.includes('early.yaml'));
  expect(changes).toMatchObject([{ changed: new Set() }]);
});
