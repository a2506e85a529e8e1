import type { ProbeThreshold } from '../probe.ts';

/** Section that holds struct thresholds of tcpaccept.bpf.c. */
const section = '.data.tcpaccept';

/** What makes tcpaccept tell a queue or a connection. */
export const thresholds = {
  fillPercent: {
    name: 'fillPercent',
    meaning: 'an accept queue is told when at least two connections are in it, and so much of its maximum',
    section,
    offset: 0,
    default: 75,
  },
  slowAcceptUs: {
    name: 'slowAcceptUs',
    meaning:
      'an accepted connection that waited at least so long is told, and so is a queue whose oldest connection has; 4294967295: none is',
    section,
    offset: 4,
    default: 500_000,
  },
  repeatMs: {
    name: 'repeatMs',
    meaning: 'a listener whose queue was told is told again after so long, or at once when it is worse',
    section,
    offset: 8,
    default: 1000,
  },
} as const satisfies Readonly<Record<string, ProbeThreshold>>;
