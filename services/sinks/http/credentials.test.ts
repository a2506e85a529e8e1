import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { fieldsOf } from '../../../core/config/field.ts';
import { checkConfig } from '../../../core/config/load.ts';
import { createLog } from '../../../core/log.ts';
import { Credentials, credentialsSchema } from './credentials.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-credentials-'));
const file = join(dir, 'secret');
const log = createLog('silent');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const headerOf = (section: object): string | undefined => new Credentials(credentialsSchema.parse(section), log).authorization();

test.each([
  ['none', {}, undefined],
  ['an API key', { apiKey: 'a2V5OnNlY3JldA==' }, 'ApiKey a2V5OnNlY3JldA=='],
  ['a token', { bearerToken: 'ey.J0' }, 'Bearer ey.J0'],
  ['a user', { username: 'jo', password: 'pass word:é' }, `Basic ${Buffer.from('jo:pass word:é').toString('base64')}`],
])('%s becomes the Authorization header', (_, section, header) => {
  expect(headerOf(section)).toBe(header);
});

test('a secret is read from its file, without the newline, and again when it changes', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  try {
    writeFileSync(file, 'first\n');
    const credentials = new Credentials(credentialsSchema.parse({ bearerTokenFile: file }), log);
    expect(credentials.authorization()).toBe('Bearer first');
    writeFileSync(file, 'second, and longer'.split(',')[0]);
    nowMs += 10_000;
    expect(credentials.authorization()).toBe('Bearer second');
  } finally {
    vi.restoreAllMocks();
  }
});

test('a secret that cannot be read leaves the one before, with one line in the log, until it can', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const error = vi.fn();
  try {
    rmSync(file, { force: true });
    const credentials = new Credentials(credentialsSchema.parse({ bearerTokenFile: file }), { ...log, error });
    const missing = expect.objectContaining({ code: 'FILE_UNREADABLE' });
    for (let time = 0; time < 2; time++) expect(() => credentials.authorization()).toThrow(missing);
    const steps = [
      ['first', 'first', 0],
      // Written in place: emptied first.
      ['', 'first', 1],
      ['hush hush', 'first', 2],
      ['second', 'second', 2],
      [undefined, 'second', 3],
      ['third, of another length'.split(',')[0], 'third', 3],
    ] as const;
    for (const [text, header, lines] of steps) {
      if (text === undefined) rmSync(file);
      else writeFileSync(file, text);
      nowMs += 10_000;
      for (let time = 0; time < 2; time++) expect(credentials.authorization()).toBe(`Bearer ${header}`);
      expect(error).toHaveBeenCalledTimes(lines);
      expect(credentials.hidden(header)).toBe('…');
    }
    expect(JSON.stringify(error.mock.calls)).not.toMatch(/hush|first|second/);
  } finally {
    vi.restoreAllMocks();
  }
});

test('an empty file, and what a header cannot hold, are refused without telling the secret', () => {
  writeFileSync(file, '\n');
  expect(() => headerOf({ apiKeyFile: file })).toThrow(/an empty file/);
  writeFileSync(file, 'hush hush\r\nX-Injected: yes');
  try {
    headerOf({ apiKeyFile: file });
    expect.unreachable();
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'CREDENTIALS_INVALID', message: expect.stringContaining('apiKeyFile') });
    expect(String(thrown)).not.toContain('hush');
  }
});

test.each([
  [{ apiKey: 'a', apiKeyFile: 'b' }, 'apiKeyFile'],
  [{ username: 'jo' }, 'password'],
  [{ password: 'p' }, 'username'],
  [{ username: 'jo', password: 'p', bearerToken: 't' }, 'username'],
  [{ apiKeyFile: 'a', bearerTokenFile: 'b' }, 'username'],
])('%o is refused at %s', (section, path) => {
  expect(credentialsSchema.safeParse(section).error?.issues.map((issue) => issue.path)).toContainEqual([path]);
});

test('no secret is shown, whatever is wrong with it', () => {
  const schema = z.strictObject({ credentials: credentialsSchema.prefault({}) });
  const shown = fieldsOf(schema).filter(({ secret }) => secret);
  expect(shown.map(({ path }) => path.at(-1))).toEqual(['apiKey', 'password', 'bearerToken']);
  for (const name of ['apiKey', 'password', 'bearerToken']) {
    const problems = checkConfig(schema, { sets: [`credentials.${name}=123456`] });
    expect(problems.length).toBeGreaterThan(0);
    expect(JSON.stringify(problems)).not.toContain('123456');
  }
});

test.each([
  [{ apiKey: Buffer.from('id:secret').toString('base64') }, ['secret', 'aWQ6c2VjcmV0']],
  [{ bearerToken: 'ey.token' }, ['ey.token']],
  [{ username: 'jo', password: 'open sesame' }, ['open sesame', Buffer.from('jo:open sesame').toString('base64')]],
])('what a server repeats of %o is not told', (section, secrets) => {
  const credentials = new Credentials(credentialsSchema.parse(section), log);
  const header = credentials.authorization();
  const said = credentials.hidden(`401 no: ${header}, that is ${secrets.join(' and ')}; ${secrets.join()}`);
  for (const secret of secrets) expect(said).not.toContain(secret);
  expect(said).toMatch(/^401 no: \w+ …, that is …/);
  expect(new Credentials({}, log).hidden('as it is')).toBe('as it is');
});

test('what a server repeats is not told either when the secret was renewed meanwhile, over many renewals', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  try {
    const sent: string[] = [];
    writeFileSync(file, 'renewed');
    const credentials = new Credentials(credentialsSchema.parse({ username: 'jo', passwordFile: file }), log);
    // Each begins with the one before.
    for (let password = 'renewed'; sent.length < 2 * 10; password += 'more') {
      writeFileSync(file, password);
      nowMs += 10_000;
      sent.push(password, credentials.authorization()?.split(' ')[1] ?? '');
      expect(credentials.hidden(sent.join('|'))).toMatch(/^…(\|…)*$/);
    }
    expect(new Set(sent).size).toBe(sent.length);
  } finally {
    vi.restoreAllMocks();
  }
});
