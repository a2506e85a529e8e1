import { expect, test } from 'vitest';
import { heldCapabilities } from './capabilities.ts';

test.each([
  ['0000000000000000', []],
  ['000000c000000000', ['CAP_PERFMON', 'CAP_BPF']],
  ['0000000000001000', ['CAP_NET_ADMIN']],
  ['0000000000200000', ['CAP_SYS_ADMIN', 'CAP_PERFMON', 'CAP_BPF']],
  ['000001ffffffffff', ['CAP_NET_ADMIN', 'CAP_IPC_LOCK', 'CAP_SYS_PTRACE', 'CAP_SYS_ADMIN', 'CAP_SYSLOG', 'CAP_PERFMON', 'CAP_BPF']],
])('CapEff %s', (effective, names) => {
  expect([...heldCapabilities(`Name:\tnode\nCapEff:\t${effective}\nCapBnd:\t000001ffffffffff\n`)]).toEqual(names);
});
