import { readFileSync } from 'node:fs';

/** Bits of capabilities that matter here: include/uapi/linux/capability.h. */
const bits = {
  CAP_NET_ADMIN: 12,
  CAP_IPC_LOCK: 14,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYSLOG: 34,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

export type CapabilityName = keyof typeof bits;

/** The kernel takes CAP_SYS_ADMIN for these, too: they were part of it before 5.8. */
const partsOfSysAdmin: readonly CapabilityName[] = ['CAP_BPF', 'CAP_PERFMON'];

/** Capabilities that this process may use: CapEff of proc_pid_status(5). */
export function heldCapabilities(status = readFileSync('/proc/self/status', 'utf8')): ReadonlySet<CapabilityName> {
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`);
  const names = Object.keys(bits) as CapabilityName[];
  const has = (name: CapabilityName): boolean => ((effective >> BigInt(bits[name])) & 1n) === 1n;
  return new Set(names.filter((name) => has(name) || (partsOfSysAdmin.includes(name) && has('CAP_SYS_ADMIN'))));
}
