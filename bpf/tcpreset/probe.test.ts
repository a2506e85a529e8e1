import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { eventNames, readFixture } from '../../test/support/probe-fixtures.ts';
import type { EventNames } from '../event.ts';
import type { KernelFacts } from '../probe.ts';
import { tcpreset } from './probe.ts';

const { SOCK, SKB, CGROUP, OWNER, V4MAPPED, CLIENT, SERVER } = recordFlags;
/** Of the kernel that the fixtures were recorded on. */
const reasons: ReadonlyMap<number, string> = new Map([
  [1, 'NO_SOCKET'],
  [11, 'TCP_ABORT_ON_CLOSE'],
  [14, 'TCP_STATE'],
]);
const names: EventNames = {
  ...eventNames('web', 'client'),
  enumName: (enumeration, value) => (enumeration === 'sk_rst_reason' ? reasons.get(value) : undefined),
};

test.each([
  {
    name: 'sent-no-socket-v4',
    fields: { variant: 1, side: 2, state: 0, family: 2, flags: SKB | SERVER, sock: 0, tgid: 0, comm: '' },
    ends: /^198\.51\.100\.2:81 198\.51\.100\.1:20\d{3}$/,
    reason: 'NO_SOCKET',
    message: 'web reset a connection from client: no socket listens on port 81',
  },
  {
    name: 'sent-no-socket-v6',
    fields: { variant: 1, side: 2, state: 0, family: 10, flags: SKB | SERVER, sock: 0, tgid: 0, comm: '' },
    ends: /^\[2001:db8::2\]:81 \[2001:db8::1\]:20\d{3}$/,
    reason: 'NO_SOCKET',
    message: 'web reset a connection from client: no socket listens on port 81',
  },
  {
    name: 'received-syn-sent',
    fields: { variant: 2, side: 1, state: 2, family: 2, flags: SOCK | CGROUP | OWNER | CLIENT, comm: 'node' },
    ends: /^198\.51\.100\.1:20\d{3} 198\.51\.100\.2:81$/,
    reason: undefined,
    message: 'client refused a connection from web to port 81',
  },
  {
    name: 'abort-linger',
    fields: { variant: 1, side: 2, state: 7, family: 2, flags: SOCK | CGROUP | OWNER, comm: 'node' },
    ends: /^198\.51\.100\.2:9000 198\.51\.100\.1:30000$/,
    reason: 'TCP_STATE',
    message: expect.stringMatching(/^web reset a connection from client: its application /),
  },
  {
    name: 'abort-unread',
    fields: { variant: 1, side: 2, state: 7, family: 2, flags: SOCK | CGROUP | OWNER, comm: 'node' },
    ends: /^198\.51\.100\.2:9000 198\.51\.100\.1:30000$/,
    reason: 'TCP_ABORT_ON_CLOSE',
    message: expect.stringMatching(/^web reset a connection from client: its application .*unread data/),
  },
  {
    name: 'v4mapped',
    fields: { variant: 1, side: 2, state: 7, family: 2, flags: SOCK | CGROUP | OWNER | V4MAPPED, comm: 'node' },
    ends: /^198\.51\.100\.2:9000 198\.51\.100\.1:30000$/,
    reason: 'TCP_STATE',
    message: expect.stringMatching(/^web reset a connection from client: its application /),
  },
])('recorded $name is decoded, and told in words', ({ name, fields, ends, reason, message }) => {
  const record = readFixture(tcpreset, name);
  expect(record).toMatchObject({ probe: tcpreset.number, length: 128, proto: 6, v0: 0, ...fields });
  expect(endsOf(record)).toMatch(ends);
  expect(tcpreset.event.reason(record, names)).toBe(reason);
  expect(tcpreset.event.message(record, names)).toEqual(message);
  expect(record.tsNs).toBeGreaterThan(0);
  expect(record.net).toBeGreaterThan(0);
  expect([record.sock > 0, record.tgid > 0]).toEqual([(record.flags & SOCK) !== 0, (record.flags & OWNER) !== 0]);
  expect(record.next()).toBe(false);
});

/** A kernel by the arguments of its tracepoints. */
function kernel(tracepoints: Readonly<Record<string, number>>): KernelFacts {
  return { tracepointArgs: (name) => tracepoints[name], hasMember: () => true };
}

const tracepoints = { tcp_send_reset: 3, tcp_receive_reset: 1 };

test.each([
  { what: '6.10 and later', facts: kernel(tracepoints), programs: ['tcpreset_received', 'tcpreset_sent'], degraded: [] },
  {
    what: 'before 6.10',
    facts: kernel({ ...tracepoints, tcp_send_reset: 2 }),
    programs: ['tcpreset_received', 'tcpreset_sent_no_reason', 'tcpreset_sent_v4', 'tcpreset_sent_v6'],
    degraded: ['reasons of sent resets'],
  },
  {
    what: 'no tracepoint for sent',
    facts: kernel({ ...tracepoints, tcp_send_reset: 0 }),
    programs: ['tcpreset_received'],
    degraded: ['sent resets'],
  },
  {
    what: 'no tracepoints at all',
    facts: kernel({}),
    programs: [],
    degraded: ['sent resets', 'received resets'],
  },
])('on a kernel: $what', ({ facts, programs, degraded }) => {
  const selection = tcpreset.select(facts);
  expect([...selection.programs].sort()).toEqual([...programs].sort());
  expect([...selection.attach, ...selection.iterators].sort()).toEqual([...programs].sort());
  expect(selection.degraded.map(({ what }) => what)).toEqual(degraded);
  for (const { what, reason, remedy } of [...selection.degraded, ...selection.whenNotAttached.values()])
    expect([what, reason, remedy]).not.toContain('');
});
