import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { AppError } from '../../../core/app-error.ts';
import { createLog, type Log } from '../../../core/log.ts';
import { topics } from '../../../proto/bus.ts';
import { elasticsearchUser, type RunningElasticsearch } from '../../../scripts/servers/elasticsearch.mjs';
import { CertificateAuthority, type CertificateFiles, replaceFile } from '../../../test/support/certificate-authority.ts';
import { temporaryFolder } from '../../../test/support/data-folder.ts';
import { startElasticsearch, storedIds } from '../../../test/support/elasticsearch-server.ts';
import { EventStream } from '../../../test/support/event-stream.ts';
import { LokiRun } from '../../../test/support/loki-run.ts';
import { patiently } from '../../../test/support/patiently.ts';
import { elasticsearchSinkSchema } from './config.ts';
import { openElasticsearchSink } from './index.ts';
import { batchOfLines } from './test-lines.ts';

const silent = createLog('silent');
const signal = new AbortController().signal;
/** Which of them is the server's Java's choice. */
const refusedAlert = /alert (bad certificate|unknown ca|certificate (required|unknown|expired))/;
const limitMs = 60_000;
/** Of a user that may not go through the other one. */
const serverFolder = temporaryFolder();
const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);
const userOf = (role: string) => ({ name: role, password: `${role}-secret`, role });
const users = ['writer', 'checker', 'installer'].map(userOf);
let server: RunningElasticsearch;
/** What the server's certificates are of. */
let own: { readonly ca: string; readonly client: CertificateFiles };
/** The authority that the server knows, and one that it does not. */
let [authority, other]: CertificateAuthority[] = [];

beforeAll(async () => {
  const indices = [{ names: ['ours*'], privileges: ['create_doc', 'auto_configure'] }];
  const roles = {
    writer: { indices },
    checker: { cluster: ['monitor'], indices },
    installer: { cluster: ['manage_index_templates'], indices },
  };
  server = await startElasticsearch({ dataDir: serverFolder.path, secured: true, clientCertificates: true, users, roles });
  const { ca = '', client = { cert: '', key: '' } } = server.certificates ?? {};
  own = { ca, client };
  mkdirSync(at('pki'));
  authority = new CertificateAuthority(at('pki'), 'authority', { cert: ca, key: ca.replace(/crt$/, 'key') });
  other = new CertificateAuthority(at('pki'), 'other');
});
afterAll(async () => {
  await server?.kill();
  serverFolder.remove();
  folder.remove();
});

const credentialsOf = (user: string) => ({ username: user, password: `${user}-secret` });
const ownTls = () => ({ ca: own.ca, cert: own.client.cert, key: own.client.key });

/** What becomes of a start and of one event: {}, or the error. */
async function outcome(section: object, index = 'ours', log: Log = silent): Promise<unknown> {
  const sink = await openElasticsearchSink(
    elasticsearchSinkSchema.parse({ urls: [server.address], index, templates: 'off', tls: ownTls(), ...section }),
    log,
  );
  try {
    // As after each failure.
    for (let starts = 0; starts < 2; starts++) await sink.check(signal);
    const batch = batchOfLines([{ line: '{"message":"m"}' }], randomBytes(8).toString('hex'));
    const { retry, ...rest } = await sink.deliver(batch, signal);
    return retry?.cause ?? rest;
  } catch (thrown) {
    expect(String(thrown)).not.toMatch(/-secret|only-for-tests/);
    return thrown;
  } finally {
    await sink.close();
  }
}

test('over TLS, with a password from a file, the least of privileges stores events; what it may not is told', async () => {
  const passwordFile = at('password');
  writeFileSync(passwordFile, `${credentialsOf('writer').password}\n`);
  const credentials = { username: 'writer', passwordFile };
  expect(await outcome({ credentials })).toEqual({});
  expect(await outcome({ credentials }, 'theirs')).toMatchObject({ code: 'ELASTICSEARCH_DENIED' });
});

test('each mode of templates works with the rights that are documented for it; with less the error names them, and no way that is denied, too', async () => {
  const [index, unlike] = [`ours-with-templates-${randomUUID()}`, 'ours-without-templates'];
  const as = (user: string, templates: string, log?: Log, of = index) => outcome({ credentials: credentialsOf(user), templates }, of, log);
  const unreadable = {
    code: 'ELASTICSEARCH_TEMPLATE_UNREADABLE',
    retryable: false,
    remedy: expect.stringMatching(/ monitor .*check.* manage_index_templates .*install.* off/),
  };
  expect(await as('writer', 'off')).toEqual({});
  expect(await as('writer', 'check')).toMatchObject(unreadable);
  expect(await as('writer', 'install')).toMatchObject(unreadable);
  const missing = { code: 'ELASTICSEARCH_TEMPLATE_MISSING' };
  expect(await as('checker', 'check')).toMatchObject(missing);
  const denied = (await as('checker', 'install')) as AppError;
  expect(denied).toMatchObject({
    code: 'ELASTICSEARCH_TEMPLATE_DENIED',
    message: expect.stringContaining('install its index templates: 403'),
  });
  expect(denied.remedy).toMatch(/manage_index_templates .*check, which needs monitor, .*off, which needs none/);
  expect(await as('installer', 'install')).toEqual({});

  const told: { level: string; code?: string; msg: string }[] = [];
  const log = createLog('info', 'json', { write: (line) => void told.push(JSON.parse(line) as (typeof told)[number]) });
  expect(await as('installer', 'check', log)).toEqual({});
  expect(told).toEqual([]);
  expect(await as('checker', 'check', log)).toEqual({});
  expect(told).toMatchObject([
    {
      level: 'warn',
      code: 'ELASTICSEARCH_TEMPLATE_UNCHECKED',
      msg: expect.stringMatching(/ours-with-templates-[-0-9a-f]+ is there; .*hides it was not checked.*manage_index_templates.*403/),
    },
  ]);
  expect(await as('checker', 'check', log, unlike)).toMatchObject(missing);
  expect(await as('installer', 'check', log, unlike)).toMatchObject(missing);
  expect(await outcome({ credentials: { ...credentialsOf('writer'), password: 'wrong' }, templates: 'check' })).toMatchObject({
    code: 'ELASTICSEARCH_DENIED',
  });
});

test('no credentials and wrong ones are refused', async () => {
  const denied = { code: 'ELASTICSEARCH_DENIED', retryable: false };
  expect(await outcome({})).toMatchObject(denied);
  expect(await outcome({ credentials: { ...credentialsOf('writer'), password: 'wrong' } })).toMatchObject(denied);
});

test('mutual TLS: the right certificates are taken, each mistake is told as what it is, and needs an operator', async () => {
  const { ca } = own;
  const { cert, key } = own.client;
  const mistakes: Record<string, { tls: object; words: RegExp }> = {
    'another authority': { tls: { ca: other.file, cert, key }, words: /unable to|self-signed|signature/ },
    'no authority': { tls: { cert, key }, words: /unable to|self-signed/ },
    'another name': { tls: { ca, cert, key, serverName: 'another.example' }, words: /another\.example/ },
    'no certificate': { tls: { ca }, words: refusedAlert },
    'certificate of another authority': { tls: { ca, ...other.issue('DNS:jitterscope') }, words: refusedAlert },
    'certificate that has expired': { tls: { ca, ...authority.issue('DNS:jitterscope', -1) }, words: refusedAlert },
  };
  const credentials = credentialsOf('writer');
  const told: Record<string, string> = {};
  for (const [mistake, { tls }] of Object.entries(mistakes)) {
    const { code, retryable, message } = (await outcome({ credentials, tls })) as AppError;
    told[mistake] = `${code}${retryable ? ' (retryable)' : ''}: ${message}`;
  }
  process.stdout.write(
    `${Object.entries(told)
      .map(([mistake, text]) => `${mistake} -> ${text}`)
      .join('\n')}\n`,
  );
  const expected = Object.entries(mistakes).map(([mistake, { words }]) => {
    return [mistake, expect.stringMatching(new RegExp(`^ELASTICSEARCH_TLS: .*(${words.source})`))];
  });
  expect(told).toEqual(Object.fromEntries(expected));
  expect(await outcome({ credentials })).toEqual({});
  expect(await outcome({ credentials, tls: { ca, cert, key, serverName: 'localhost' } })).toEqual({});
  expect(await outcome({ credentials, tls: { ca, ...authority.issue('DNS:jitterscope') } })).toEqual({});
});

/** Puts a certificate with its key in the place of the one before. */
function renew(files: CertificateFiles, by: CertificateAuthority): void {
  const { cert, key } = by.issue('DNS:jitterscope');
  replaceFile(cert, files.cert);
  replaceFile(key, files.key);
}

test('certificate, authority and password are renewed while events flow: readiness off while one is wrong, and every event is stored once', async () => {
  const [files, ca, passwordFile] = [{ cert: at('client.pem'), key: at('client.key') }, at('ca.pem'), at('renewed-password')];
  const setPassword = (password: string) => writeFileSync(passwordFile, `${password}\n`);
  renew(files, authority);
  replaceFile(authority.file, ca);
  setPassword(elasticsearchUser.password);
  const prefix = '00000000000000e1';
  const stream = new EventStream({ prefix, node: 'node1', startS: Math.floor(Date.now() / 1000) - 30, stepNs: 1_000_000 });
  const credentials = { username: elasticsearchUser.name, passwordFile };
  const section = { enabled: true, urls: [server.address], index: 'ours-renewed', tls: { ca, ...files }, credentials };
  const run = await LokiRun.start(at('run'), { elasticsearch: section });
  let count = 0;
  const append = async (): Promise<void> => {
    await run.bus.append(topics.events, 0, [stream.next(100)]);
    count += 100;
  };
  const flows = (what: string) =>
    patiently(what, limitMs, async () => {
      await append();
      return run.sinks.ready().ready && (await run.lag('elasticsearch')) <= 1;
    });
  const stands = (words: RegExp) =>
    patiently(`it says ${words}`, limitMs, async () => {
      await append();
      const { ready, problems } = run.sinks.ready();
      return !ready && words.test(problems.join());
    });
  // Files are looked at every 5 s.
  let laterMs = 0;
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs);
  onTestFinished(() => clock.mockRestore());
  const look = (): void => {
    laterMs += 6_000;
  };
  await flows('events flow');
  renew(files, other);
  look();
  await stands(/ELASTICSEARCH_TLS: .*alert/);
  renew(files, authority);
  look();
  await flows('they flow with the renewed certificate');
  replaceFile(other.file, ca);
  look();
  await stands(/ELASTICSEARCH_TLS: .*(unable to|self-signed|signature)/);
  replaceFile(authority.file, ca);
  setPassword('outdated');
  look();
  await stands(/ELASTICSEARCH_DENIED: .*401/);
  setPassword(elasticsearchUser.password);
  look();
  await flows('they flow with the renewed password');
  await patiently('all is stored', limitMs, async () => (await run.lag('elasticsearch')) === 0);
  const ids = await storedIds(server, 'ours-renewed-*');
  expect([ids.length, new Set(ids).size]).toEqual([count, count]);
  expect(await run.deadLetters()).toEqual([]);
  await run.close();
});
