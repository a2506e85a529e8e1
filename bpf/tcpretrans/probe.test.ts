import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import { writeRecord } from '../../schema/record-writer.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { eventNames, readerOf, readFixture, valuesOf } from '../../test/support/probe-fixtures.ts';
import type { KernelFacts } from '../probe.ts';
import { retransmitKinds } from './kinds.ts';
import { tcpretrans } from './probe.ts';

const { SOCK, CGROUP, OWNER, V4MAPPED, CLIENT, SERVER } = recordFlags;
const names = eventNames('web', 'client');
const owned = SOCK | CGROUP | OWNER;

test.each([
  {
    name: 'fast',
    fields: { variant: 1, state: 1, family: 2, flags: owned },
    ends: '198.51.100.1:31000 198.51.100.2:9000',
    reason: 'FAST',
    message:
      /^web retransmitted to client: later segments were acknowledged, this one was not \(fast retransmit\), srtt 0\.\d ms, cwnd \d+$/,
    values: ['srtt_us', 'cwnd_segments', 'segments', 'total_segments', 'unacked_segments'],
  },
  {
    name: 'rto',
    fields: { variant: 1, state: 1, family: 2, flags: owned },
    ends: '198.51.100.1:33000 198.51.100.2:9002',
    reason: 'RTO',
    message: /^web retransmitted to client: no ACK within the retransmission timeout \(RTO\), srtt 0\.\d ms, cwnd 1$/,
    values: ['srtt_us', 'cwnd_segments', 'segments', 'retransmits', 'total_segments', 'unacked_segments'],
  },
  {
    name: 'rto-refused',
    fields: { variant: 1, state: 1, family: 2, flags: owned },
    ends: '198.51.100.1:34000 198.51.100.2:9003',
    reason: 'RTO',
    message: /\(RTO\), srtt 0\.\d ms, cwnd 1; this host did not let the packet out \(errno 1\)$/,
    values: ['srtt_us', 'cwnd_segments', 'segments', 'retransmits', 'total_segments', 'unacked_segments', 'errno'],
  },
  {
    name: 'tlp',
    fields: { variant: 1, state: 1, family: 2, flags: owned },
    ends: '198.51.100.1:33000 198.51.100.2:9002',
    reason: 'TLP',
    message: /^web retransmitted to client: the last segment was not acknowledged in time \(tail loss probe\), srtt 0\.\d ms, cwnd 10$/,
    values: ['srtt_us', 'cwnd_segments', 'segments', 'total_segments', 'unacked_segments'],
  },
  {
    name: 'syn',
    fields: { variant: 1, state: 2, family: 2, flags: owned | CLIENT },
    ends: '198.51.100.1:32000 198.51.100.2:9001',
    reason: 'SYN',
    message: /^web's SYN to client:9001 was not answered, retransmission 2$/,
    values: ['cwnd_segments', 'segments', 'retransmits', 'total_segments', 'unacked_segments'],
  },
  {
    name: 'syn-ack-v6',
    fields: { variant: 2, state: 12, family: 10, flags: owned | SERVER },
    ends: '[2001:db8::2]:9005 [2001:db8::1]:36000',
    reason: 'SYN_ACK',
    message: /^web's SYN-ACK to client was not acknowledged; its accept queue is 0\/511$/,
    values: ['segments', 'retransmits', 'accept_queue_connections', 'accept_queue_max_connections'],
  },
  {
    name: 'syn-ack-v4mapped',
    fields: { variant: 2, state: 12, family: 2, flags: owned | V4MAPPED | SERVER },
    ends: '198.51.100.2:9005 198.51.100.1:36000',
    reason: 'SYN_ACK',
    message: /^web's SYN-ACK to client was not acknowledged; its accept queue is 0\/511$/,
    values: ['segments', 'retransmits', 'accept_queue_connections', 'accept_queue_max_connections'],
  },
  {
    name: 'syn-ack-full',
    fields: { variant: 2, state: 12, family: 2, flags: owned | SERVER },
    ends: '198.51.100.2:9006 198.51.100.1:37100',
    reason: 'SYN_ACK',
    message: /^web's SYN-ACK to client was not acknowledged; its accept queue is 4\/3$/,
    values: ['segments', 'retransmits', 'accept_queue_connections', 'accept_queue_max_connections'],
  },
])('recorded $name is decoded, and told in words and numbers', ({ name, fields, ends, reason, message, values }) => {
  const record = readFixture(tcpretrans, name);
  expect(record).toMatchObject({ probe: tcpretrans.number, length: 192, proto: 6, side: 2, v0: 0, comm: 'node', ...fields });
  // Of two connections that wait for one place, either may be first.
  expect(endsOf(record).replace(':37101', ':37100')).toBe(ends);
  expect(tcpretrans.event.reason(record, names)).toBe(reason);
  expect(tcpretrans.event.message(record, names)).toMatch(message);
  expect(Object.keys(valuesOf(tcpretrans, record))).toEqual(values);
  expect([record.sock > 0, record.tgid > 0, record.net > 0, record.tsNs > 0]).toEqual([true, true, true, true]);
  expect(record.next()).toBe(false);
});

/** A record of a connection whose tail has these words. */
function made(fields: { code: number; v?: readonly number[]; words: readonly number[] }): RecordReader {
  const words = BigUint64Array.from({ length: 8 }, (_, index) => BigInt(fields.words[index] ?? 0));
  return readerOf(
    writeRecord({ probe: tcpretrans.number, variant: 1, code: fields.code, v: fields.v ?? [], tail: new Uint8Array(words.buffer) }),
  );
}

test('what no fixture shows is told, too: dropped by a queue, before a first round trip, of no known kind', () => {
  const dropped = made({ code: retransmitKinds.RTO, v: [0, 0, 7], words: [1, 1, 1, 1, 0, 0, 0, 1] });
  expect(tcpretrans.event.message(dropped, names)).toBe(
    'web retransmitted to client: no ACK within the retransmission timeout (RTO), cwnd 7; a queue of this host dropped the packet',
  );
  expect(valuesOf(tcpretrans, dropped)).toEqual({
    ...{ cwnd_segments: 7, segments: 1, retransmits: 1, total_segments: 1, unacked_segments: 1, queue_dropped: 1 },
  });
  const other = made({ code: retransmitKinds.OTHER, v: [0, 1500, 10], words: [2, 0, 2, 5] });
  expect([tcpretrans.event.reason(other, names), tcpretrans.event.message(other, names)]).toEqual([
    'OTHER',
    'web retransmitted to client, srtt 1.5 ms, cwnd 10',
  ]);
  expect(tcpretrans.event.reason(made({ code: 99, words: [] }), names)).toBeUndefined();
});

/** A kernel by the arguments of its tracepoints. */
function kernel(tracepoints: Readonly<Record<string, number>>): KernelFacts {
  return { tracepointArgs: (name) => tracepoints[name], hasMember: () => true };
}

const tracepoints = { tcp_retransmit_skb: 3, tcp_retransmit_synack: 2 };

test.each([
  { what: 'with errors', facts: kernel(tracepoints), programs: ['tcpretrans_segment', 'tcpretrans_syn_ack'], degraded: 0 },
  {
    what: 'without errors',
    facts: kernel({ ...tracepoints, tcp_retransmit_skb: 2 }),
    programs: ['tcpretrans_segment_no_error', 'tcpretrans_syn_ack'],
    degraded: 1,
  },
  {
    what: 'without SYN-ACKs',
    facts: kernel({ ...tracepoints, tcp_retransmit_synack: 0 }),
    programs: ['tcpretrans_segment'],
    degraded: 1,
  },
  { what: 'without tracepoints', facts: kernel({}), programs: [], degraded: 2 },
])('on a kernel $what', ({ facts, programs, degraded }) => {
  const selection = tcpretrans.select(facts);
  expect([...selection.programs].sort()).toEqual([...programs].sort());
  expect([...selection.attach, ...selection.iterators].sort()).toEqual([...programs].sort());
  expect(selection.degraded).toHaveLength(degraded);
  for (const { what, reason, remedy } of selection.degraded) expect([what, reason, remedy]).not.toContain('');
});
