import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import { writeRecord } from '../../schema/record-writer.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { eventNames, readerOf, readFixture, valuesOf } from '../../test/support/probe-fixtures.ts';
import type { KernelFacts } from '../probe.ts';
import { connectFailures, endings } from './names.ts';
import { tcplife } from './probe.ts';

const { SOCK, CGROUP, OWNER, V4MAPPED, CLIENT } = recordFlags;
const names = eventNames('client', 'web');
const owned = SOCK | CGROUP | OWNER;
const [failed, slow, closed] = [1, 2, 3];

const connectValues = ['connect_us', 'syn_retransmits'];
const errnoValues = ['errno', ...connectValues];
const closedValues = [
  'srtt_us',
  'duration_us',
  'sent_bytes',
  'received_bytes',
  'sent_segments',
  'received_segments',
  'retransmitted_segments',
];
const client = owned | CLIENT;
const v4 = '198.51.100.1:22000 198.51.100.2:9100';

test.each([
  {
    name: 'refused',
    fields: { variant: failed, family: 2, flags: client, code: 111 },
    ends: v4,
    reason: 'ECONNREFUSED',
    message: /^client could not connect to web:9100: refused \(ECONNREFUSED\) after \d+\.\d ms$/,
    values: errnoValues,
  },
  {
    name: 'refused-v6',
    fields: { variant: failed, family: 10, flags: client, code: 111 },
    ends: '[2001:db8::1]:22000 [2001:db8::2]:9100',
    reason: 'ECONNREFUSED',
    message: /refused/,
    values: errnoValues,
  },
  {
    name: 'refused-v4mapped',
    fields: { variant: failed, family: 2, flags: client | V4MAPPED, code: 111 },
    ends: v4,
    reason: 'ECONNREFUSED',
    message: /refused/,
    values: errnoValues,
  },
  {
    name: 'timed-out',
    fields: { variant: failed, family: 2, flags: client, code: 110 },
    ends: v4,
    reason: 'ETIMEDOUT',
    message: /^client could not connect to web:9100: no answer \(ETIMEDOUT\) after \d\.\d\d s, its SYN sent \d times$/,
    values: errnoValues,
  },
  {
    name: 'no-neighbour',
    fields: { variant: failed, family: 2, flags: client, code: 113 },
    ends: '198.51.100.1:22000 198.51.100.77:9100',
    reason: 'EHOSTUNREACH',
    message: /host unreachable or prohibited on the way \(EHOSTUNREACH\) after/,
    values: errnoValues,
  },
  {
    name: 'net-unreachable',
    fields: { variant: failed, family: 2, flags: client, code: 101 },
    ends: '198.51.100.1:22000 203.0.113.9:9100',
    reason: 'ENETUNREACH',
    message: /network unreachable \(ENETUNREACH\) after/,
    values: errnoValues,
  },
  {
    name: 'aborted',
    fields: { variant: failed, family: 2, flags: client, code: connectFailures.ABORTED },
    ends: v4,
    reason: 'ABORTED',
    message: /^client gave up connecting to web:9100: it closed the socket after 4\d\d\.\d ms$/,
    values: connectValues,
  },
  {
    name: 'not-sent',
    fields: { variant: failed, family: 2, flags: client, code: connectFailures.NOT_SENT },
    ends: '198.51.100.1:0 198.51.100.2:9100',
    reason: 'NOT_SENT',
    message: /^client could not connect to web:9100: connect\(\) failed before a SYN was sent \(no free local port, no route\)$/,
    values: connectValues,
  },
  {
    name: 'slow-ipv4',
    fields: { variant: slow, family: 2, flags: client, code: 0, v2: 1 },
    ends: '198.51.100.1:21000 198.51.100.2:9001',
    reason: undefined,
    message: /^client took 1\.\d\d s to connect to web:9001, its SYN sent 2 times$/,
    values: connectValues,
  },
  {
    name: 'slow-v4mapped',
    fields: { variant: slow, family: 2, flags: client | V4MAPPED, code: 0, v2: 1 },
    ends: '198.51.100.1:21000 198.51.100.2:9001',
    reason: undefined,
    message: /^client took 1\.\d\d s/,
    values: connectValues,
  },
  {
    name: 'closed-lossy',
    fields: { variant: closed, family: 2, flags: client, code: endings.LOCAL_FIN },
    ends: '198.51.100.1:25000 198.51.100.2:9006',
    reason: 'LOCAL_FIN',
    message: /^the connection of client with web was closed by this end after \d+\.\d+ m?s; \d+ of \d+ segments were sent again$/,
    values: closedValues,
  },
  {
    name: 'timed-out-open',
    fields: { variant: closed, family: 2, flags: client, code: endings.TIMED_OUT, state: 1 },
    ends: '198.51.100.1:27000 198.51.100.2:9008',
    reason: 'TIMED_OUT',
    message:
      /^the connection of client with web timed out: the far end no longer answered after \d+\.\d+ m?s; \d of \d segments were sent again$/,
    values: ['srtt_us', 'errno', ...closedValues.slice(1)],
  },
])('recorded $name is decoded, and told in words and numbers', ({ name, fields, ends, reason, message, values }) => {
  const record = readFixture(tcplife, name);
  expect(record).toMatchObject({ probe: tcplife.number, proto: 6, v0: 0, comm: 'node', ...fields });
  expect([record.length, record.side]).toEqual(fields.variant === closed ? [192, 0] : [128, 2]);
  expect(endsOf(record)).toBe(ends);
  expect(tcplife.event.reason(record, names)).toBe(reason);
  expect(tcplife.event.message(record, names)).toMatch(message);
  expect(Object.keys(valuesOf(tcplife, record))).toEqual(values);
  expect([record.sock > 0, record.tgid > 0, record.net > 0, record.tsNs > 0]).toEqual([true, true, true, true]);
  expect(record.next()).toBe(false);
});

/** A record with these words in its tail. */
function made(variant: number, code: number, v: readonly number[], words: readonly number[] = []): RecordReader {
  const tail =
    variant === closed ? { tail: new Uint8Array(BigUint64Array.from({ length: 8 }, (_, i) => BigInt(words[i] ?? 0)).buffer) } : {};
  return readerOf(writeRecord({ probe: tcplife.number, variant, code, v, dport: 80, ...tail }));
}

test.each([
  [
    made(failed, 103, [0, 2_000_000, 0]),
    'ECONNABORTED',
    'client could not connect to web:80: ended by an administrator (ECONNABORTED) after 2.00 s',
  ],
  [made(failed, 13, [0, 900, 0]), 'EACCES', 'client could not connect to web:80: EACCES after 0.9 ms'],
  [made(failed, 77, [0, 900, 0]), 'errno 77', 'client could not connect to web:80: errno 77 after 0.9 ms'],
  [made(slow, 0, [0, 600_000, 0]), undefined, 'client took 600.0 ms to connect to web:80'],
  [made(closed, endings.FAR_FIN, []), 'FAR_FIN', 'the connection of client with web was closed by the far end'],
  [made(closed, endings.RESET_SENT, [], [1500]), 'RESET_SENT', 'the connection of client with web was reset by this end after 1.5 ms'],
  [
    made(closed, endings.ERROR, [], [0, 0, 0, 9, 9, 2, 113]),
    'ERROR',
    'the connection of client with web ended with an error (EHOSTUNREACH); 2 of 9 segments were sent again',
  ],
  [made(closed, 99, []), undefined, 'the connection of client with web ended'],
])('what no fixture shows is told, too: %#', (record, reason, message) => {
  expect([tcplife.event.reason(record, names), tcplife.event.message(record, names)]).toEqual([reason, message]);
});

test('what a record does not have is not among its values', () => {
  expect(valuesOf(tcplife, made(slow, 0, [0, 600_000, 0]))).toEqual({ connect_us: 600_000, syn_retransmits: 0 });
  expect(valuesOf(tcplife, made(closed, endings.FAR_FIN, [0, 0], [0, 5, 6, 7, 8, 0, 0]))).toEqual({
    ...{ sent_bytes: 5, received_bytes: 6, sent_segments: 7, received_segments: 8, retransmitted_segments: 0 },
  });
});

function kernel(args: number | undefined, storage: boolean): KernelFacts {
  return { tracepointArgs: () => args, hasMember: () => storage };
}

test.each([
  { what: 'all of it', facts: kernel(3, true), programs: ['tcplife_state'], degraded: 0 },
  { what: 'no storage in sockets', facts: kernel(3, false), programs: [], degraded: 1 },
  { what: 'no tracepoint', facts: kernel(undefined, true), programs: [], degraded: 1 },
])('on a kernel with $what', ({ facts, programs, degraded }) => {
  const selection = tcplife.select(facts);
  expect([selection.programs, selection.attach, selection.iterators]).toEqual([programs, programs, []]);
  expect(selection.degraded).toHaveLength(degraded);
  for (const { what, reason, remedy } of selection.degraded) expect([what, reason, remedy]).not.toContain('');
});

test('thresholds lie one after the other in their section, as the struct does', () => {
  const { thresholds = [] } = tcplife;
  expect(thresholds.map(({ section, offset }) => [section, offset])).toEqual(thresholds.map((_, index) => ['.data.tcplife', index * 4]));
});
