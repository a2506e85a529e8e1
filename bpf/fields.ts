import type { ProbeField } from './probe.ts';

/** `v[0]`, which all probes fill in the same way. @param what of which these are: events, resets */
export function withheldField(variants: readonly number[], what = 'events'): ProbeField {
  const meaning = `${what} of the namespace withheld by the token bucket since the record before`;
  return { name: 'v[0]', variants, meaning, unit: 'events' };
}

/** The process of a socket, as bpf/base notes it. */
export function ownerField(variants: readonly number[]): ProbeField {
  const meaning = 'with OWNER: the process that called connect() or listen() on the socket, or held it when the probe started';
  return { name: 'tgid, comm', variants, meaning };
}

/** The cgroup of a socket. */
export function cgroupField(variants: readonly number[], more = ''): ProbeField {
  return { name: 'cgroup', variants, meaning: `with CGROUP: the cgroup in which the socket was made${more}` };
}

/** The interface of a socket. */
export function interfaceField(variants: readonly number[]): ProbeField {
  return { name: 'ifindex', variants, meaning: 'interface that the socket’s last packet came in by; 0 unknown' };
}
