import { expect, test } from 'vitest';
import type { Outcome } from './answer.ts';
import { classify, type SentPush, type Verdict } from './classify.ts';
import { lokiError } from './errors.ts';

/** An entry of a push: time as seconds and nanos, bytes of its line. */
type Entry = readonly [seconds: number, nanos: number, bytes: number];

const pushOf = (entries: readonly Entry[], isBackfill = false): SentPush => ({
  url: 'http://loki',
  isBackfill,
  count: entries.length,
  bytes: entries.reduce((sum, [, , bytes]) => sum + bytes, 0),
  seconds: (entry) => entries[entry][0],
  nanos: (entry) => entries[entry][1],
  lineBytes: (entry) => entries[entry][2],
});
const answered = (status: number, body = ''): Outcome => ({ kind: 'answered', status, body });
const at = (text: string) => Date.parse(text) / 1000;

/** What a verdict says, without texts. */
function summaryOf({ rejected = [], again = [], unknown = [], cause, smaller = false, oldestS }: Verdict) {
  return {
    rejected: rejected.map(({ entry, error }) => `${entry} ${error.code}`).sort(),
    again: [...again],
    unknown: [...unknown],
    cause: cause?.code,
    smaller,
    oldestS,
  };
}
const none = { rejected: [], again: [], unknown: [], cause: undefined, smaller: false, oldestS: undefined };
const three: readonly Entry[] = [
  [at('2026-11-22T15:55:10Z'), 0, 10],
  [at('2026-11-22T15:55:10Z'), 1, 10],
  [at('2026-11-22T15:55:10Z'), 2, 10],
];

const stream = `'{service_name="j", type="x"}'`;
const blocked = "ingestion blocked for user 'fake' until '2030-01-01T00:00:00Z' with status code '260'\n";
const byPolicy = "ingestion blocked for user 'fake' (policy: 'finance') until '2030-01-01T00:00:00Z' with status code '260'\n";
const tenantRate =
  "ingestion rate limit exceeded for user t9 (limit: 52428 bytes/sec) while attempting to ingest '60' lines totaling '180000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased\n";
const rateOf = (nanos: string) =>
  `entry with timestamp 2026-11-22 15:55:10${nanos} +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 8KB/sec) while attempting to ingest for stream '{service_name="j", type="x"}' totaling 900B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\n`;
const streamLimit = `maximum active stream limit exceeded when trying to create stream {a="100", service_name="unknown_service"}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 't11'\n`;
const disallowed = `stream ${stream} includes structured metadata, but this feature is disallowed. Please see \`limits_config.allow_structured_metadata\` or contact your Loki administrator to enable it\n`;
const metadataTooLarge = `stream ${stream} has structured metadata too large: '401' bytes, limit: '300' bytes. Please see \`limits_config.max_structured_metadata_size\` or contact your Loki administrator to increase it\n`;
const tooManyLabels = `entry for stream '{a="1", b="2", c="3", service_name="j", type="x"}' has 4 label names; limit 3\n`;
const cutOff =
  'loghttp.PushRequest.Streams: []loghttp.LogProtoStream: readStringSlowPath: unexpected end of input, error found in #10 byte of ...|xxxxxxxxxx|..., bigger context ...|xx|...\n';

// Bodies as Loki 3.7.8 wrote them (test/loki-limits.loki.test.ts provokes those of limits), but for what says otherwise.
test.each<[string, Outcome, readonly Entry[], Partial<ReturnType<typeof summaryOf>>]>([
  ['204', answered(204), three, {}],
  ['200 of a gateway', answered(200, 'ok'), three, {}],
  ['a tenant that is blocked', answered(260, blocked), three, { again: [0, 1, 2], cause: 'LOKI_BLOCKED' }],
  ['a policy that blocks (scripted)', answered(260, byPolicy), three, { unknown: [0, 1, 2], cause: 'LOKI_BLOCKED' }],
  ['another success (scripted)', answered(202), three, { unknown: [0, 1, 2], cause: 'LOKI_UNEXPECTED_STATUS' }],
  ['a redirect (scripted)', answered(302), three, { again: [0, 1, 2], cause: 'LOKI_UNEXPECTED_STATUS' }],
  ['no tenant', answered(401, 'no org id\n'), three, { again: [0, 1, 2], cause: 'LOKI_DENIED' }],
  [
    'a tenant that cannot be',
    answered(400, "tenant ID 'a/../b' contains unsupported character '/'\n"),
    three,
    { again: [0, 1, 2], cause: 'LOKI_DENIED' },
  ],
  ['another path', answered(404, '404 page not found\n'), three, { again: [0, 1, 2], cause: 'LOKI_NOT_FOUND' }],
  ['metadata that are not allowed', answered(400, disallowed), three, { again: [0, 1, 2], cause: 'LOKI_METADATA_DISALLOWED' }],
  ['more than the tenant may', answered(429, tenantRate), three, { again: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true }],
  ['one event, more than the tenant may', answered(429, tenantRate), three.slice(0, 1), { again: [0], cause: 'LOKI_BUSY' }],
  ['one stream more than the tenant may', answered(429, streamLimit), three, { again: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true }],
  [
    'one shard more than the tenant may: others may be stored',
    answered(429, streamLimit.replace('a="100"', '__stream_shard__="1"')),
    three,
    { unknown: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true },
  ],
  ['a rate of another kind (scripted)', answered(429, 'no'), three, { unknown: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true }],
  ['the rate of a proxy (scripted)', answered(429, '<html>'), three, { again: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true }],
  [
    'more than the stream may, all of it',
    answered(
      429,
      `${rateOf('')}${rateOf('.000000001')}${rateOf('.000000002')}user 't1', total ignored: 3 out of 3 for stream: {service_name="j", type="x"}\n`,
    ),
    three,
    { again: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true },
  ],
  [
    'more than the stream may, a part of it',
    answered(429, `${rateOf('.000000002')}user 't1', total ignored: 1 out of 3 for stream: {service_name="j", type="x"}\n`),
    three,
    { unknown: [0, 1, 2], cause: 'LOKI_BUSY', smaller: true },
  ],
  [
    'a body that is too large',
    answered(413, 'request body too large'),
    three,
    { again: [0, 1, 2], cause: 'LOKI_TOO_LARGE', smaller: true },
  ],
  ['one event that is too large', answered(413, 'request body too large'), three.slice(0, 1), { rejected: ['0 LOKI_TOO_LARGE'] }],
  ['a body that was cut', answered(400, cutOff), three, { again: [0, 1, 2], cause: 'LOKI_PUSH_UNREADABLE', smaller: true }],
  ['no snappy', answered(400, 'snappy: corrupt input\n'), three, { again: [0, 1, 2], cause: 'LOKI_PUSH_UNREADABLE', smaller: true }],
  ['a 400 of another kind (scripted)', answered(400, 'no'), three, { unknown: [0, 1, 2], cause: 'LOKI_PUSH_UNREADABLE', smaller: true }],
  ['the same for one event', answered(400, 'no'), three.slice(0, 1), { rejected: ['0 LOKI_REFUSED'] }],
  ['metadata of some event', answered(400, metadataTooLarge), three, { unknown: [0, 1, 2], cause: 'LOKI_PUSH_UNREADABLE', smaller: true }],
  ['metadata of the one event', answered(400, metadataTooLarge), three.slice(0, 1), { rejected: ['0 LOKI_REFUSED'] }],
  [
    'http to a server with TLS',
    answered(400, 'Client sent an HTTP request to an HTTPS server.\n'),
    three.slice(0, 1),
    { again: [0], cause: 'LOKI_WITH_TLS' },
  ],
  [
    'the page of a proxy, for one event (scripted)',
    answered(400, '<html>\r\n<head><title>400 The SSL certificate error</title></head>'),
    three.slice(0, 1),
    { again: [0], cause: 'LOKI_UNEXPECTED_STATUS' },
  ],
  ['more labels than the tenant may', answered(400, tooManyLabels), three, { again: [0, 1, 2], cause: 'LOKI_LABELS_REFUSED' }],
  ['the same for one event', answered(400, tooManyLabels), three.slice(0, 1), { again: [0], cause: 'LOKI_LABELS_REFUSED' }],
  [
    'a label that is too long (scripted)',
    answered(400, "stream '{service_name=\"j\"}' has label value too long: 'jjj'\n"),
    three,
    { again: [0, 1, 2], cause: 'LOKI_LABELS_REFUSED' },
  ],
  ['an ingester that is not there yet', answered(500, 'empty ring\n'), three, { unknown: [0, 1, 2], cause: 'LOKI_FAILED' }],
  ['a gateway without Loki (scripted)', answered(503), three, { unknown: [0, 1, 2], cause: 'LOKI_FAILED' }],
  [
    'no connection',
    { kind: 'unsent', cause: lokiError('LOKI_UNREACHABLE', { url: 'x', cause: 'y' }) },
    three,
    { again: [0, 1, 2], cause: 'LOKI_UNREACHABLE' },
  ],
  [
    'no answer',
    { kind: 'unanswered', cause: lokiError('LOKI_NO_ANSWER', { url: 'x', cause: 'y' }) },
    three,
    { unknown: [0, 1, 2], cause: 'LOKI_NO_ANSWER' },
  ],
])('%s', (_, outcome, entries, expected) => {
  expect(summaryOf(classify(outcome, pushOf(entries)))).toEqual({ ...none, ...expected });
});

test('of too old, too new and too long events exactly those are refused that Loki names', () => {
  const body = `1 errors like: entry for stream ${stream} has timestamp too old: 2026-11-22T10:21:50Z, oldest acceptable timestamp is: 2026-11-22T12:55:10Z; 2 errors like: max entry size '4096' bytes exceeded for stream ${stream} while adding an entry with length '5000' bytes; 1 errors like: max entry size '4096' bytes exceeded for stream ${stream} while adding an entry with length '6000' bytes; 1 errors like: entry for stream ${stream} has timestamp too new: 2026-11-22T16:28:30Z\n`;
  const now = at('2026-11-22T15:55:10Z');
  const entries: Entry[] = [
    [at('2026-11-22T16:28:30Z'), 5, 1],
    [at('2026-11-22T10:21:50Z'), 0, 1],
    [now, 0, 5000],
    [now, 1, 5000],
    [now, 2, 6000],
    [now, 3, 2],
  ];
  const verdict = classify(answered(400, body), pushOf(entries));
  expect(summaryOf(verdict)).toEqual({ ...none, rejected: [0, 1, 2, 3, 4].map((entry) => `${entry} LOKI_REFUSED`) });
  expect(verdict.rejected?.find(({ entry }) => entry === 4)?.error.message).toContain("length '6000' bytes");
});

test('where the limit falls into a second, the oldest of that second are refused, and the newest', () => {
  const old = `2 errors like: entry for stream ${stream} has timestamp too old: 2026-11-22T10:21:50Z, oldest acceptable timestamp is: 2026-11-22T10:21:50Z\n`;
  const second = at('2026-11-22T10:21:50Z');
  const entries: Entry[] = [3, 1, 4, 2].map((nanos) => [second, nanos, 1]);
  expect(summaryOf(classify(answered(400, old), pushOf(entries))).rejected).toEqual(['1 LOKI_REFUSED', '3 LOKI_REFUSED']);
  const newer = `2 errors like: entry for stream ${stream} has timestamp too new: 2026-11-22T10:21:50Z\n`;
  expect(summaryOf(classify(answered(400, newer), pushOf(entries))).rejected).toEqual(['0 LOKI_REFUSED', '2 LOKI_REFUSED']);
});

const behind = (clock: string) =>
  `entry with timestamp 2026-11-22 ${clock} +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-11-22T${clock.slice(0, 8)}Z, oldest acceptable timestamp is: 2026-11-22T14:55:10Z',\n`;
const ignored = (count: number, of: number) => `user 't3', total ignored: ${count} out of ${of} for stream: {service_name="j", type="x"}\n`;
const late: readonly Entry[] = [
  [at('2026-11-22T13:55:10Z'), 123_456_789, 10],
  [at('2026-11-22T15:55:10Z'), 9, 10],
];
const oldestS = at('2026-11-22T14:55:10Z');

test('labels that only a backfill stream has hold up nothing else', () => {
  const { rejected, again } = summaryOf(classify(answered(400, tooManyLabels), pushOf(three, true)));
  expect([rejected, again]).toEqual([[0, 1, 2].map((entry) => `${entry} LOKI_LABELS_REFUSED`), []]);
});

test('an event that is too far behind its stream goes to the backfill stream; there, to the dead letters', () => {
  const body = `${behind('13:55:10.123456789')}${ignored(1, 2)}`;
  expect(summaryOf(classify(answered(400, body), pushOf(late)))).toEqual({ ...none, again: [0], cause: 'LOKI_TOO_FAR_BEHIND', oldestS });
  expect(summaryOf(classify(answered(400, body), pushOf(late, true)))).toEqual({
    ...none,
    rejected: ['0 LOKI_BACKFILL_TOO_FAR_BEHIND'],
    oldestS,
  });
});

test('of more than ten that are too far behind, those that are not named are known by what the stream takes', () => {
  const entries: Entry[] = [
    ...Array.from({ length: 12 }, (_, index): Entry => [at('2026-11-22T13:55:10Z') - index, index * 7, 3]),
    late[1],
  ];
  const named = Array.from({ length: 10 }, (_, index) =>
    behind(`13:55:${String(10 - index).padStart(2, '0')}${index === 0 ? '' : `.${String(index * 7).padStart(9, '0')}`}`),
  );
  const { again, unknown } = summaryOf(classify(answered(400, `${named.join('')}${ignored(12, 13)}`), pushOf(entries)));
  expect(again).toEqual(entries.slice(0, 12).map((_, index) => index));
  expect(unknown).toEqual([]);
});

test('an ingester hides what the distributor refused before: the rest is not known then', () => {
  const body = `${behind('13:55:10.123456789')}${ignored(1, 2)}`;
  const entries: Entry[] = [...late, [at('2026-11-22T15:55:10Z'), 10, 5000]];
  expect(summaryOf(classify(answered(400, body), pushOf(entries)))).toEqual({
    ...none,
    again: [0],
    unknown: [1, 2],
    cause: 'LOKI_TOO_FAR_BEHIND',
    oldestS,
  });
});

test('long answers are shortened, and an event is told its own clause', () => {
  const long = classify(answered(400, `snappy: ${'x'.repeat(5000)}`), pushOf(three)).cause;
  expect(long?.message.length).toBeLessThan(700);
});
