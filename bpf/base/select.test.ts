import { expect, test } from 'vitest';
import type { KernelFacts } from '../probe.ts';
import { selectBase } from './select.ts';

/** A kernel by the arguments of its tracepoint, and by what its structs have. */
function kernel(args: number | undefined, members: readonly string[]): KernelFacts {
  return {
    tracepointArgs: (name) => (name === 'inet_sock_set_state' ? args : undefined),
    hasMember: (struct, member) => members.includes(`${struct}.${member}`),
  };
}

const storage = 'sock.sk_bpf_storage';
const cookie = 'net.net_cookie';
const owner = ['owner_note', 'owner_seed'];
const withoutOwner = 'processes that own the sockets';
const withoutCookie = 'cookies of network namespaces';

test.each([
  { what: 'all of it', facts: kernel(3, [storage, cookie]), programs: owner, degraded: [] },
  { what: 'no cookies', facts: kernel(3, [storage]), programs: owner, degraded: [withoutCookie] },
  { what: 'no storage in sockets', facts: kernel(3, [cookie]), programs: [], degraded: [withoutOwner] },
  { what: 'another tracepoint', facts: kernel(2, [storage, cookie]), programs: [], degraded: [withoutOwner] },
  { what: 'nothing', facts: kernel(undefined, []), programs: [], degraded: [withoutOwner, withoutCookie] },
])('on a kernel with $what', ({ facts, programs, degraded }) => {
  const selection = selectBase(facts);
  expect(selection.programs).toEqual(programs);
  expect([...selection.attach, ...selection.iterators]).toEqual(programs);
  expect(selection.degraded.map(({ what }) => what)).toEqual(degraded);
  for (const { what, reason, remedy } of [...selection.degraded, ...selection.whenNotAttached.values()])
    expect([what, reason, remedy]).not.toContain('');
});
