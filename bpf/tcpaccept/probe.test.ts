import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import { writeRecord } from '../../schema/record-writer.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { eventNames, readerOf, readFixture, valuesOf } from '../../test/support/probe-fixtures.ts';
import type { KernelFacts } from '../probe.ts';
import { levels } from './names.ts';
import { tcpaccept } from './probe.ts';

const { SOCK, CGROUP, OWNER, TASK, V4MAPPED, SERVER } = recordFlags;
const names = eventNames('web', 'client');
const [queue, accepted] = [1, 2];

const queueValues = ['accept_queue_connections', 'accept_queue_max_connections', 'oldest_wait_us', 'listener_drops'];
const listener = SOCK | CGROUP | OWNER | SERVER;
const connection = TASK | SOCK | CGROUP | SERVER;

test.each([
  {
    name: 'filling',
    fields: { variant: queue, family: 2, flags: listener, code: levels.FILLING, v1: 6, v2: 8, state: 10 },
    ends: '198.51.100.2:9002 198.51.100.1:32000',
    reason: 'FILLING',
    message: /^the accept queue of web on port 9002 is filling: 6 connections wait, the oldest for \d+\.\d ms, of 8 at most$/,
    values: queueValues,
  },
  {
    name: 'filling-v6',
    fields: { variant: queue, family: 10, flags: listener, code: levels.FILLING, v1: 6, v2: 8, state: 10 },
    ends: '[2001:db8::2]:9002 [2001:db8::1]:32000',
    reason: 'FILLING',
    message: /is filling/,
    values: queueValues,
  },
  {
    name: 'full',
    fields: { variant: queue, family: 2, flags: listener, code: levels.FULL, v1: 9, v2: 8, state: 10 },
    ends: '198.51.100.2:9002 198.51.100.1:32000',
    reason: 'FULL',
    message:
      /^the accept queue of web on port 9002 is full: 9 connections wait, the oldest for .*s, of 8 at most; more are dropped \(0 so far\)$/,
    values: queueValues,
  },
  {
    name: 'stalled',
    fields: { variant: queue, family: 2, flags: listener, code: levels.STALLED, v1: 2, v2: 511, state: 10 },
    ends: '198.51.100.2:9003 198.51.100.1:35000',
    reason: 'STALLED',
    message: /^the accept queue of web on port 9003 stands still: 2 connections wait, the oldest for \d\.\d\d s, of 511 at most$/,
    values: queueValues,
  },
  {
    name: 'accepted-ipv4',
    fields: { variant: accepted, family: 2, flags: connection, code: 0 },
    ends: '198.51.100.2:9000 198.51.100.1:31000',
    reason: undefined,
    message: /^web accepted a connection from client to port 9000 only after (\d\.\d\d s|\d+\.\d ms)$/,
    values: ['accept_wait_us'],
  },
  {
    name: 'accepted-ipv6',
    fields: { variant: accepted, family: 10, flags: connection, code: 0 },
    ends: '[2001:db8::2]:9000 [2001:db8::1]:31000',
    reason: undefined,
    message: /only after/,
    values: ['accept_wait_us'],
  },
  {
    name: 'accepted-v4mapped',
    fields: { variant: accepted, family: 2, flags: connection | V4MAPPED, code: 0 },
    ends: '198.51.100.2:9000 198.51.100.1:31000',
    reason: undefined,
    message: /only after/,
    values: ['accept_wait_us'],
  },
])('recorded $name is decoded, and told in words and numbers', ({ name, fields, ends, reason, message, values }) => {
  const record = readFixture(tcpaccept, name);
  expect(record).toMatchObject({ probe: tcpaccept.number, proto: 6, side: 1, v0: 0, comm: 'node', ...fields });
  expect(record.length).toBe(fields.variant === queue ? 192 : 128);
  expect(endsOf(record)).toBe(ends);
  expect(tcpaccept.event.reason(record, names)).toBe(reason);
  expect(tcpaccept.event.message(record, names)).toMatch(message);
  expect(Object.keys(valuesOf(tcpaccept, record))).toEqual(values);
  expect([record.tgid > 0, record.net > 0, record.tsNs > 0]).toEqual([true, true, true]);
  expect(record.next()).toBe(false);
});

test('a queue whose oldest connection was just accepted, and one of an unknown kind', () => {
  const made = (code: number, words: readonly bigint[]) =>
    readerOf(
      writeRecord({
        ...{ probe: tcpaccept.number, variant: queue, code, v: [0, 5, 4], sport: 80 },
        tail: new Uint8Array(BigUint64Array.from({ length: 8 }, (_, index) => words[index] ?? 0n).buffer),
      }),
    );
  expect(tcpaccept.event.message(made(levels.FULL, [0n, 7n]), names)).toBe(
    'the accept queue of web on port 80 is full: 5 connections wait, of 4 at most; more are dropped (7 so far)',
  );
  const unknown = made(99, []);
  expect([tcpaccept.event.reason(unknown, names), tcpaccept.event.message(unknown, names)]).toEqual([
    undefined,
    'the accept queue of web on port 80 is filling: 5 connections wait, of 4 at most',
  ]);
});

/** A kernel by its tracepoints, by struct members it lacks, and by whether functions can be looked at. */
function kernel(
  tracepoints: Readonly<Record<string, number>>,
  lacks: readonly string[] = [],
  loaded = true,
  hookSystemCalls = false,
): KernelFacts {
  return {
    tracepointArgs: (name) => tracepoints[name],
    hasMember: (struct, member) => !lacks.includes(`${struct}.${member}`),
    loads: (object) => loaded && object === 'accept-fexit',
    hookSystemCalls,
  };
}

const tracepoints = { sk_data_ready: 1, tcp_retransmit_synack: 2, sys_exit: 2 };
const before610 = ['proto_accept_arg.flags'];

test.each([
  { what: 'all of it', facts: kernel(tracepoints), programs: ['tcpaccept_queued', 'tcpaccept_accepted'], degraded: 0 },
  { what: 'four arguments', facts: kernel(tracepoints, before610), programs: ['tcpaccept_queued', 'tcpaccept_accepted_4'], degraded: 0 },
  {
    what: 'no look at functions',
    facts: kernel(tracepoints, [], false),
    programs: ['tcpaccept_queued'],
    degraded: 1,
  },
  {
    what: 'no look at functions, but at system calls',
    facts: kernel(tracepoints, [], false, true),
    programs: ['tcpaccept_queued', 'tcpaccept_sys_exit'],
    degraded: 1,
  },
  {
    what: 'no sk_data_ready',
    facts: kernel({ tcp_retransmit_synack: 2 }, before610),
    programs: ['tcpaccept_syn_ack', 'tcpaccept_accepted_4'],
    degraded: 1,
  },
  { what: 'no storage in sockets', facts: kernel(tracepoints, ['sock.sk_bpf_storage']), programs: ['tcpaccept_accepted'], degraded: 1 },
  { what: 'nothing', facts: kernel({}, [], false, true), programs: [], degraded: 2 },
])('on a kernel with $what', ({ facts, programs, degraded }) => {
  const selection = tcpaccept.select(facts);
  expect([selection.programs, selection.attach, selection.iterators]).toEqual([programs, programs, []]);
  expect(selection.degraded).toHaveLength(degraded);
  for (const { what, reason, remedy } of selection.degraded) expect([what, reason, remedy]).not.toContain('');
});

test('thresholds lie one after the other in their section, as the struct does', () => {
  const { thresholds = [] } = tcpaccept;
  expect(thresholds.map(({ section, offset }) => [section, offset])).toEqual(thresholds.map((_, index) => ['.data.tcpaccept', index * 4]));
});
