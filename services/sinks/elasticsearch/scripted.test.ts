// What a real Elasticsearch cannot be made to do: answers that break off, drip, or fail for one item only.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { CertificateAuthority, replaceFile } from '../../../test/support/certificate-authority.ts';
import { delivering } from '../delivery.ts';
import { newDeliveryCounters } from '../metrics.ts';
import type { Sink } from '../sink.ts';
import { elasticsearchSinkSchema } from './config.ts';
import { openElasticsearchSink } from './index.ts';
import { batchOfLines } from './test-lines.ts';

type Reply = (response: ServerResponse, ids: readonly string[]) => void;

const json = { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' };
const signal = new AbortController().signal;
const batch = (count: number) => batchOfLines(Array.from({ length: count }, () => ({ line: '{}' })));

const answer =
  (status: number, body: unknown, headers: object = {}): Reply =>
  (response) =>
    void response.writeHead(status, { ...json, ...headers }).end(typeof body === 'string' ? body : JSON.stringify(body));

/** Each item by its status. */
const items = (statusOf: (id: string) => number): Reply => {
  return (response, ids) => {
    const found = ids.map((id) => ({
      create: { status: statusOf(id), ...(statusOf(id) > 299 && { error: { type: 'scripted', reason: 'so' } }) },
    }));
    answer(200, { errors: ids.some((id) => statusOf(id) > 299), items: found })(response, ids);
  };
};
const stored = items(() => 201);

async function scripted(replies: Reply[], config: object = {}) {
  const requests: { readonly ids: readonly string[]; readonly authorization: string | undefined }[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
    const ids = lines.filter((_, at) => at % 2 === 0).map((line) => (JSON.parse(line) as { create: { _id: string } }).create._id);
    requests.push({ ids, authorization: request.headers.authorization });
    (replies.shift() ?? stored)(response, ids);
  };
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  // As Elasticsearch does, it leaves idle connections open.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sink = await openElasticsearchSink(
    elasticsearchSinkSchema.parse({ urls: [url], templates: 'off', ...config }),
    createLog('silent'),
  );
  onTestFinished(async () => {
    await sink.close();
    server.closeAllConnections();
    server.close();
  });
  const connections = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
  return { sink, requests, connections };
}

function withRetries(sink: Sink) {
  const counters = newDeliveryCounters();
  const told: string[] = [];
  const policy = { initialMs: 1, maxMs: 2, pauseMs: 1 };
  const observer = {
    retrying: (_: number, { code }: { code: string }) => void told.push(`retrying ${code}`),
    paused: (_: number, { code }: { code: string }) => void told.push(`paused ${code}`),
    delivering: () => undefined,
  };
  return { sink: delivering(sink, { name: 'elasticsearch', policy, counters, observer, maxBytes: 1e6 }), counters, told };
}

const halfAnswer: Reply = (response) => {
  response.writeHead(200, { ...json, 'content-length': 1000 });
  response.write('{"errors":false,"items":[');
  setTimeout(() => response.destroy(), 10);
};
const garbled = answer(200, '{"errors":false,"items":[{"create":{"sta');
const others = answer(200, { errors: false, items: [] });
const html = answer(200, '<html>maintenance</html>', { 'content-type': 'text/html' });

test.each([
  ['breaks off', halfAnswer, 'ELASTICSEARCH_UNREACHABLE'],
  ['is half a JSON', garbled, 'ELASTICSEARCH_ANSWER_UNKNOWN'],
  ['names no items', others, 'ELASTICSEARCH_ANSWER_UNKNOWN'],
  ['is that of a proxy', html, 'ELASTICSEARCH_ANSWER_UNKNOWN'],
  ['is 503 of a proxy', answer(503, 'no healthy upstream', { 'content-type': 'text/plain' }), 'ELASTICSEARCH_FAILED'],
  ['is 502 without a body', answer(502, ''), 'ELASTICSEARCH_FAILED'],
])('an answer that %s is sent again, all of it, and nobody is told of a double', async (_, reply, code) => {
  const { sink, requests } = await scripted([reply]);
  const { sink: whole, counters, told } = withRetries(sink);
  expect(await whole.deliver(batch(3), signal)).toEqual({});
  expect(requests.map(({ ids }) => ids.length)).toEqual([3, 3]);
  expect(told).toEqual([`retrying ${code}`]);
  expect(counters).toMatchObject({ failures: { [code]: 1 }, possiblyDuplicatedEvents: 0 });
});

test('one item that fails is sent again alone', async () => {
  const { sink, requests } = await scripted([items((id) => (id.endsWith('-1') ? 503 : 201)), items(() => 429)]);
  expect(await withRetries(sink).sink.deliver(batch(3), signal)).toEqual({});
  expect(requests.map(({ ids }) => ids.length)).toEqual([3, 1, 1]);
  expect(requests[1].ids[0]).toMatch(/-1$/);
});

test('an answer that drips, and one that never comes, end by the timeout', async () => {
  const timers: NodeJS.Timeout[] = [];
  onTestFinished(() => timers.forEach(clearInterval));
  const drip: Reply = (response) => {
    response.writeHead(200, json);
    timers.push(setInterval(() => response.write(' '), 20));
  };
  const { sink, requests } = await scripted([drip, () => undefined], { requestTimeout: '200ms' });
  const { sink: whole, told } = withRetries(sink);
  expect(await whole.deliver(batch(2), signal)).toEqual({});
  expect(requests.length).toBe(3);
  expect(told).toEqual(['retrying ELASTICSEARCH_TIMEOUT', 'retrying ELASTICSEARCH_TIMEOUT']);
});

test('too large requests are halved, and one event that is still too large is given up', async () => {
  const tooLarge: Reply = (response, ids) =>
    (ids.length > 2 || ids.some((id) => id.endsWith('-5')) ? answer(413, '') : stored)(response, ids);
  const { sink, requests } = await scripted(Array<Reply>(50).fill(tooLarge));
  const { rejected } = await withRetries(sink).sink.deliver(batch(8), signal);
  expect(rejected?.map(({ item, error }) => [item, error.code])).toEqual([[5, 'ELASTICSEARCH_TOO_LARGE']]);
  expect(new Set(requests.flatMap(({ ids }) => ids)).size).toBe(8);
});

test('a server without memory gets smaller requests after a while, and loses no event, not even a single one', async () => {
  const rejected = { error: { type: 'es_rejected_execution_exception', reason: 'rejected execution of coordinating operation' } };
  const full = answer(429, rejected);
  const { sink, requests } = await scripted([full, full, full, full, full]);
  expect(await withRetries(sink).sink.deliver(batch(4), signal)).toEqual({});
  expect(requests.map(({ ids }) => ids.length)).toEqual([4, 2, 1, 1, 1, 1, 1, 1, 1]);
});

test('the delay that the server names is handed on, up to a minute', async () => {
  const { sink } = await scripted([answer(429, {}, { 'retry-after': '7' }), answer(503, {}, { 'retry-after': '86400' })]);
  expect((await sink.deliver(batch(2), signal)).retry).toMatchObject({ afterMs: 7000, smaller: true });
  expect((await sink.deliver(batch(2), signal)).retry).toMatchObject({ afterMs: 60_000 });
});

test('what an operator has to mend rejects the delivery, without the secret in any error', async () => {
  const secret = 'c2VjcmV0OnNlY3JldA==';
  const credentials = { apiKey: secret };
  const denied = answer(401, { error: { type: 'security_exception', reason: 'unable to authenticate' } });
  const { sink, requests } = await scripted([denied, answer(404, ''), halfAnswer], { credentials });
  for (const code of ['ELASTICSEARCH_DENIED', 'ELASTICSEARCH_OPERATOR_NEEDED', 'ELASTICSEARCH_UNREACHABLE']) {
    const thrown = await sink.deliver(batch(1), signal).then(undefined, (reason: unknown) => reason);
    expect(thrown).toMatchObject({ code, retryable: code === 'ELASTICSEARCH_UNREACHABLE' });
    const { message, stack, cause } = thrown as Error;
    expect(JSON.stringify([thrown, message, stack, cause])).not.toContain(secret);
  }
  expect(requests.map(({ authorization }) => authorization)).toEqual(Array(3).fill(`ApiKey ${secret}`));
});

test('what is not Elasticsearch is refused', async () => {
  const { sink } = await scripted([(response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}')]);
  await expect(sink.deliver(batch(1), signal)).rejects.toMatchObject({ code: 'ELASTICSEARCH_OTHER_PRODUCT', retryable: false });
});

test('a port without a server is told with the URL', async () => {
  const { sink } = await scripted([], { urls: ['http://127.0.0.1:1'] });
  await expect(sink.deliver(batch(1), signal)).rejects.toMatchObject({
    code: 'ELASTICSEARCH_UNREACHABLE',
    retryable: true,
    message: expect.stringMatching(/127\.0\.0\.1:1: .*ECONNREFUSED/),
  });
});

test('a request that fails costs little more than one that does not, however large it is', async () => {
  const { sink } = await scripted([], { urls: ['http://127.0.0.1:1'] });
  const large = batchOfLines(Array.from({ length: 4_000 }, () => ({ line: JSON.stringify({ pad: 'x'.repeat(1_000) }) })));
  const before = process.cpuUsage();
  await expect(sink.deliver(large, signal)).rejects.toMatchObject({ code: 'ELASTICSEARCH_UNREACHABLE' });
  const { user, system } = process.cpuUsage(before);
  // Seconds, where the client copies the body into its error.
  expect((user + system) / 1e6).toBeLessThan(1);
});

test('an abort ends a request that runs, with its reason', async () => {
  const { sink, requests } = await scripted([() => undefined]);
  const controller = new AbortController();
  const reason = new Error('closing');
  const delivery = sink.deliver(batch(1), controller.signal);
  delivery.catch(() => undefined);
  await vi.waitFor(() => expect(requests.length).toBe(1), 10_000);
  controller.abort(reason);
  await expect(delivery).rejects.toBe(reason);
});

/** An answer that is held back until it is released. */
function held() {
  const answers: (() => void)[] = [];
  const reply: Reply = (response, ids) => void answers.push(() => stored(response, ids));
  const release = (): void => {
    for (const answer of answers.splice(0)) answer();
  };
  return { reply, count: () => answers.length, release };
}

test('partitions that send at once share one client: none keeps connections when the sink is closed', async () => {
  const { reply, count, release } = held();
  const { sink, connections } = await scripted(Array<Reply>(8).fill(reply));
  const deliveries = Promise.all(Array.from({ length: 8 }, () => sink.deliver(batch(1), signal)));
  await vi.waitFor(() => expect(count()).toBe(8), 10_000);
  release();
  expect(await deliveries).toEqual(Array(8).fill({}));
  expect(await connections()).toBe(8);
  await sink.close();
  await vi.waitFor(async () => expect(await connections()).toBe(0), 10_000);
});

test('renewed files: new requests go over new connections at once, those under way end on the old ones, which are then closed', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-elasticsearch-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const [first, second] = ['first', 'second'].map((name) => new CertificateAuthority(dir, name));
  const ca = join(dir, 'ca.pem');
  replaceFile(first.file, ca);
  // Files are looked at every 5 s.
  let laterMs = 0;
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs);
  onTestFinished(() => clock.mockRestore());
  const before = held();
  const after = held();
  const { sink, connections } = await scripted([before.reply, after.reply, after.reply, after.reply, after.reply], { tls: { ca } });
  const underWay = sink.deliver(batch(1), signal);
  await vi.waitFor(() => expect(before.count()).toBe(1), 10_000);
  replaceFile(second.file, ca);
  laterMs = 6_000;
  const deliveries = Promise.all(Array.from({ length: 4 }, () => sink.deliver(batch(1), signal)));
  await vi.waitFor(() => expect(after.count()).toBe(4), 10_000);
  expect(await connections()).toBe(5);
  before.release();
  expect(await underWay).toEqual({});
  await vi.waitFor(async () => expect(await connections()).toBe(4), 10_000);
  after.release();
  expect(await deliveries).toEqual(Array(4).fill({}));
  await sink.close();
  await vi.waitFor(async () => expect(await connections()).toBe(0), 10_000);
});

test.each([
  [{ urls: ['http://jo:hush@localhost:9200'] }, /found a URL with a user name/],
  [{ urls: ['localhost:9200'] }, /expected one such as/],
  [{ urls: [] }, /./],
  [{ index: 'Upper' }, /./],
  [{ index: '_x' }, /./],
])('a configuration is refused: %j', (section, message) => {
  const { error } = elasticsearchSinkSchema.safeParse(section);
  expect(error?.issues[0].message).toMatch(message);
  expect(JSON.stringify(error?.issues)).not.toContain('hush');
});
