import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { elasticsearchUser, type RunningElasticsearch } from '../../../scripts/servers/elasticsearch.mjs';
import { startElasticsearch } from '../../../test/support/elasticsearch-server.ts';
import { elasticsearchSinkSchema } from './config.ts';
import { openElasticsearchSink } from './index.ts';
import { batchOfLines } from './test-lines.ts';

const log = createLog('silent');
const signal = new AbortController().signal;
const dir = mkdtempSync(join(tmpdir(), 'jitterscope-elasticsearch-'));
const writer = { name: 'writer', password: 'writer-secret', role: 'writer' };
let server: RunningElasticsearch;

beforeAll(async () => {
  const roles = { writer: { indices: [{ names: ['ours-*'], privileges: ['create_doc', 'auto_configure'] }] } };
  server = await startElasticsearch({ dataDir: dir, secured: true, users: [writer], roles });
});
afterAll(async () => {
  await server?.kill();
  rmSync(dir, { recursive: true, force: true });
});

async function outcome(section: object, index = 'ours'): Promise<unknown> {
  const tls = { ca: server.certificates?.ca };
  const sink = await openElasticsearchSink(
    elasticsearchSinkSchema.parse({ urls: [server.address], index, templates: 'off', tls, ...section }),
    log,
  );
  try {
    await sink.check(signal);
    const batch = batchOfLines([{ line: '{"message":"m"}' }], randomBytes(8).toString('hex'));
    const { retry, ...rest } = await sink.deliver(batch, signal);
    return retry === undefined ? rest : retry.cause.code;
  } catch (thrown) {
    expect(String(thrown)).not.toMatch(/writer-secret|only-for-tests/);
    return (thrown as { code: string }).code;
  } finally {
    await sink.close();
  }
}

test('over TLS, with a password from a file, the least of privileges stores events; what it may not is told', async () => {
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, `${writer.password}\n`);
  const credentials = { username: writer.name, passwordFile };
  expect(await outcome({ credentials })).toEqual({});
  expect(await outcome({ credentials }, 'theirs')).toBe('ELASTICSEARCH_DENIED');
  expect(await outcome({ credentials, templates: 'install' })).toBe('ELASTICSEARCH_TEMPLATE_DENIED');
  const admin = { username: elasticsearchUser.name, password: elasticsearchUser.password };
  expect(await outcome({ credentials: admin, templates: 'install' })).toEqual({});
});

test('no credentials, wrong ones, an unknown authority and another name are refused', async () => {
  const credentials = { username: writer.name, password: writer.password };
  const { ca, client } = server.certificates ?? {};
  expect(await outcome({})).toBe('ELASTICSEARCH_DENIED');
  expect(await outcome({ credentials: { ...credentials, password: 'wrong' } })).toBe('ELASTICSEARCH_DENIED');
  expect(await outcome({ credentials, tls: {} })).toBe('ELASTICSEARCH_TLS');
  expect(await outcome({ credentials, tls: { ca, serverName: 'another.example' } })).toBe('ELASTICSEARCH_TLS');
  expect(await outcome({ credentials, tls: { ca, serverName: 'localhost', cert: client?.cert, key: client?.key } })).toEqual({});
});
