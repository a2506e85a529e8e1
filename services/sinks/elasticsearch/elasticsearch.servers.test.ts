import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { eventFields } from '../../../schema/event.ts';
import type { RunningElasticsearch } from '../../../scripts/servers/elasticsearch.mjs';
import { askElasticsearch, startElasticsearch, storedIds } from '../../../test/support/elasticsearch-server.ts';
import { suspend } from '../../../test/support/suspend.ts';
import { sinkContract } from '../contract.ts';
import { delivering } from '../delivery.ts';
import { newDeliveryCounters } from '../metrics.ts';
import { idIn } from '../test-events.ts';
import { elasticsearchSinkSchema } from './config.ts';
import { openElasticsearchSink } from './index.ts';
import { batchOfLines } from './test-lines.ts';
import { documentedQueries, fieldsNamedIn, queriedLines } from './test-queries.ts';

const log = createLog('silent');
const dir = mkdtempSync(join(tmpdir(), 'jitterscope-elasticsearch-'));
const signal = new AbortController().signal;
let server: RunningElasticsearch;
let tests = 0;

beforeAll(async () => {
  server = await startElasticsearch({ dataDir: dir });
  const sink = await openWith({}, 'contract');
  await sink.check(signal).finally(() => sink.close());
});
afterAll(async () => {
  await server?.kill();
  rmSync(dir, { recursive: true, force: true });
});

/** A configuration with indices of its own. */
const configOf = (more: object = {}, index = `test-${++tests}`) =>
  elasticsearchSinkSchema.parse({ urls: [server.address], index, ...more });
const openWith = (more: object = {}, index?: string) => openElasticsearchSink(configOf(more, index), log);

sinkContract('the Elasticsearch sink', async () => {
  // The templates of `contract` cover it.
  const index = `contract-${++tests}`;
  return {
    open: () => openWith({ templates: 'off' }, index),
    async stored(partition) {
      const ids = (await storedIds(server.address, `${index}-*`)).filter((id) => id.startsWith(idIn(partition, 0).slice(0, 17)));
      const numberOf = (id: string): number => Number(id.slice(17));
      return ids.sort((a, b) => numberOf(a) - numberOf(b));
    },
    // The whole server goes at the end.
    destroy: async () => undefined,
  };
});

const dayS = 86_400;
const event = (more: object = {}) =>
  JSON.stringify({ '@timestamp': '2026-11-22T04:31:07.123456789Z', message: 'm', event: { kind: 'event' }, ...more });
const ask = (method: string, path: string, body?: object) => askElasticsearch(server.address, method, path, body);

/** A checked sink with an index prefix of its own, and the name of today's index. */
async function openChecked(more: object = {}) {
  const index = `test-${++tests}`;
  const sink = await openWith(more, index);
  await sink.check(signal);
  return { sink, index, today: `${index}-${new Date().toISOString().slice(0, 10).replaceAll('-', '.')}` };
}

test('events that the mapping refuses are named with the reason, and the others are stored', async () => {
  const { sink, index } = await openChecked();
  const lines = Array.from({ length: 100 }, (_, n) => ({
    line: event(n % 10 === 3 ? { source: { ip: `host-${n}` } } : { source: { ip: '10.0.0.1' } }),
  }));
  const { rejected, retry } = await sink.deliver(batchOfLines(lines), signal);
  expect(retry).toBeUndefined();
  expect(rejected?.map(({ item }) => item)).toEqual([3, 13, 23, 33, 43, 53, 63, 73, 83, 93]);
  expect(rejected?.[0].error).toMatchObject({
    code: 'ELASTICSEARCH_EVENT_REFUSED',
    message: expect.stringMatching(/400 document_parsing_exception: .*\[source\.ip\].*host-3/),
  });
  expect((await storedIds(server.address, `${index}-*`)).length).toBe(90);
  await sink.close();
});

test('lines that are no documents are refused one by one', async () => {
  const { sink, index } = await openChecked();
  const lines = ['{', '[]', '"text"', '{}{}', '{"delete":{"_index":"x","_id":"1"}}', event()].map((line) => ({ line }));
  const { rejected } = await sink.deliver(batchOfLines(lines), signal);
  expect(rejected?.map(({ item }) => item)).toEqual([0, 1, 2, 3]);
  expect((await storedIds(server.address, `${index}-*`)).length).toBe(2);
  await sink.close();
});

test('an empty line, for which the server refuses the whole request, costs no other event', async () => {
  const { sink, index } = await openChecked();
  const lines = [event(), '', event(), event()].map((line) => ({ line }));
  const policy = { initialMs: 1, maxMs: 2, pauseMs: 1 };
  const observer = { retrying: () => undefined, paused: () => undefined, delivering: () => undefined };
  const whole = delivering(sink, { name: 'elasticsearch', policy, observer, counters: newDeliveryCounters(), maxBytes: 1e6 });
  const { rejected } = await whole.deliver(batchOfLines(lines), signal);
  expect(rejected?.map(({ item, error }) => [item, error.code])).toEqual([[1, 'ELASTICSEARCH_EVENT_REFUSED']]);
  expect((await storedIds(server.address, `${index}-*`)).length).toBe(3);
  await sink.close();
});

test('what was stored and is sent again is stored once, and counted', async () => {
  const { sink, index } = await openChecked();
  const batch = batchOfLines(Array.from({ length: 50 }, () => ({ line: event() })));
  expect(await sink.deliver({ ...batch, items: batch.items.subarray(0, 30) }, signal)).toEqual({});
  expect(await sink.deliver(batch, signal)).toEqual({});
  expect(sink.counters.alreadyStored).toBe(30);
  const ids = await storedIds(server.address, `${index}-*`);
  expect([ids.length, new Set(ids).size]).toEqual([50, 50]);
  await sink.close();
});

test.each([
  ['a write block', 'PUT', '/_settings', { 'index.blocks.write': true }, { code: 'ELASTICSEARCH_DENIED', retryable: false }],
  [
    'a full disk',
    'PUT',
    '/_settings',
    { 'index.blocks.read_only_allow_delete': true },
    { code: 'ELASTICSEARCH_OVERLOADED', retryable: true },
  ],
  ['a closed index', 'POST', '/_close', undefined, { code: 'ELASTICSEARCH_OPERATOR_NEEDED', retryable: false }],
])('%s holds its events back, none is given up, and the other day goes on', async (_, method, path, body, cause) => {
  const { sink, index, today } = await openChecked();
  await sink.deliver(batchOfLines([{ line: event() }]), signal);
  await ask(method, `/${today}${path}`, body);
  const yesterday = { timeSeconds: Date.now() / 1000 - dayS, line: event() };
  const delivery = await sink.deliver(batchOfLines([{ line: event() }, yesterday, { line: event() }], '00000000000000bb'), signal);
  expect(delivery).toEqual({ retry: { items: [0, 2], cause: expect.objectContaining(cause) } });
  if (path === '/_settings')
    await ask(method, `/${today}${path}`, { 'index.blocks.write': null, 'index.blocks.read_only_allow_delete': null });
  else await ask('POST', `/${today}/_open?wait_for_active_shards=1`);
  expect((await storedIds(server.address, `${index}-*`)).length).toBe(2);
  await sink.close();
});

test('each event is in the index of its day; those of no plausible day share one', async () => {
  const { sink, index, today } = await openChecked();
  const nowS = Date.now() / 1000;
  const times = [nowS, nowS - 3 * dayS, 0, nowS + 400 * dayS];
  await sink.deliver(batchOfLines(times.map((timeSeconds) => ({ timeSeconds, line: event() }))), signal);
  const found = (await ask('GET', `/${index}-*`)) as Record<string, unknown>;
  const threeAgo = new Date((nowS - 3 * dayS) * 1000).toISOString().slice(0, 10).replaceAll('-', '.');
  expect(Object.keys(found).sort()).toEqual([`${index}-${threeAgo}`, today, `${index}-other-days`].sort());
  expect((await storedIds(server.address, `${index}-other-days`)).length).toBe(2);
  await sink.close();
});

test('an index has the mapping of the vocabulary: every field with its type, nanoseconds, values of rules', async () => {
  const { sink, index, today } = await openChecked();
  const own = {
    jitterscope: { values: { overflows_per_second: 7.4, srtt_us: 12 }, by: { fill: '8080' }, unheard: { of: 1 } },
    unheard: 'of',
  };
  expect(await sink.deliver(batchOfLines([{ line: event(own) }]), signal)).toEqual({});
  await ask('POST', `/${today}/_refresh`);
  const { fields } = (await ask('GET', `/${today}/_field_caps?fields=*`)) as { fields: Record<string, Record<string, unknown>> };
  for (const { path, type } of eventFields) {
    const name = path.replaceAll('[]', '').replace('.*', type === 'keyword' ? '' : '.overflows_per_second');
    expect([name, Object.keys(fields[name] ?? {})]).toEqual([name, [path.endsWith('.*') && type === 'keyword' ? 'flattened' : type]]);
  }
  expect(Object.keys(fields).filter((name) => name.includes('unheard'))).toEqual([]);
  const count = async (query: object): Promise<number> => ((await ask('POST', `/${index}-*/_count`, { query })) as { count: number }).count;
  expect(await count({ term: { 'jitterscope.by.fill': '8080' } })).toBe(1);
  expect(await count({ range: { 'jitterscope.values.overflows_per_second': { gt: 7.3 } } })).toBe(1);
  expect(await count({ range: { '@timestamp': { gte: '2026-11-22T04:31:07.123456789Z', lt: '2026-11-22T04:31:07.123456790Z' } } })).toBe(1);
  await sink.close();
});

test('every query of docs/elasticsearch.md finds what it is for, and nothing else: ECS fields, the search bar, counts by Pod and rule', async () => {
  const { sink, index, today } = await openChecked();
  const lines = queriedLines(Math.floor(Date.now() / 1000));
  expect(await sink.deliver(batchOfLines(lines), signal)).toEqual({});
  await ask('POST', `/${today}/_refresh`);
  const known = new Set(eventFields.map(({ path }) => path.replaceAll('[]', '')));
  type Answer = { hits: { total: { value: number } }; aggregations?: Record<string, { buckets: object[] }> };
  const hits: number[] = [];
  for (const { text, body } of documentedQueries()) {
    const answer = (await ask('POST', `/${index}-*/_search`, body)) as Answer;
    hits.push(answer.hits.total.value);
    const [groups] = Object.values(answer.aggregations ?? { none: { buckets: [{}, {}] } });
    expect(groups.buckets.length, text).toBeGreaterThan(1);
    expect(fieldsNamedIn(text).filter((field) => !known.has(field) && !known.has(field.replace(/[^.]+$/, '*')))).toEqual([]);
  }
  // What queriedLines has of each, in the order of the document.
  expect(hits).toEqual([3, 35, 25, 2, 2, 53, 85, 29, 2, 14, 40, 100, 2, lines.length, 40, 3]);
  await sink.close();
});

test('templates are installed once, left alone when they are newer, and only looked for with `check`', async () => {
  const index = `test-${++tests}`;
  const check = async (templates: string): Promise<void> => {
    const sink = await openWith({ templates }, index);
    await sink.check(signal).finally(() => sink.close());
  };
  await expect(check('check')).rejects.toMatchObject({ code: 'ELASTICSEARCH_TEMPLATE_MISSING' });
  await check('off');
  await check('install');
  await check('check');
  type Found = { index_templates: { index_template: { version: number; priority: number; composed_of: string[] } }[] };
  const read = async () => ((await ask('GET', `/_index_template/${index}`)) as Found).index_templates[0].index_template;
  const first = await read();
  expect(first.composed_of).toEqual([`${index}-mappings`, `${index}-settings`, `${index}@custom`]);
  await ask('PUT', `/_index_template/${index}`, { ...first, version: 99, priority: 501 });
  await check('install');
  await check('check');
  expect(await read()).toMatchObject({ version: 99, priority: 501 });
  await ask('PUT', `/_index_template/${index}`, { ...first, version: 0 });
  await expect(check('check')).rejects.toMatchObject({ code: 'ELASTICSEARCH_TEMPLATE_MISSING' });
  await check('install');
  expect(await read()).toMatchObject({ version: first.version });
  // What the operator adds holds, also for what is ours.
  await ask('PUT', `/_component_template/${index}@custom`, { template: { settings: { number_of_replicas: 0 } } });
  await ask('PUT', `/${index}-2026.11.01`);
  const settings = (await ask('GET', `/${index}-2026.11.01/_settings?flat_settings=true`)) as Record<string, { settings: object }>;
  expect(settings[`${index}-2026.11.01`].settings).toMatchObject({ 'index.number_of_replicas': '0' });
});

test('a template of others that hides ours is told', async () => {
  const index = `test-${++tests}`;
  await ask('PUT', `/_index_template/all-${index}`, { index_patterns: [`${index}*`], priority: 1000, template: { mappings: {} } });
  const sink = await openWith({}, index);
  await expect(sink.check(signal)).rejects.toMatchObject({
    code: 'ELASTICSEARCH_TEMPLATE_SHADOWED',
    message: expect.stringContaining('@timestamp as nothing, expected date_nanos'),
  });
  await sink.close();
});

test('a server that is frozen is waited for, and nothing is stored twice', async () => {
  const { sink, index } = await openChecked({ requestTimeout: '1s' });
  const batch = batchOfLines(Array.from({ length: 20 }, () => ({ line: event() })));
  await suspend(server.pid);
  try {
    await expect(sink.deliver(batch, signal)).rejects.toMatchObject({ code: 'ELASTICSEARCH_TIMEOUT', retryable: true });
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
  await expect.poll(() => sink.deliver(batch, signal).catch(({ code }: { code: string }) => code), { timeout: 60_000 }).toEqual({});
  expect((await storedIds(server.address, `${index}-*`)).length).toBe(20);
  await sink.close();
});
