import type { ProbeThreshold } from '../probe.ts';

/** Section that holds struct thresholds of tcplife.bpf.c. */
const section = '.data.tcplife';

/** What makes tcplife tell a connection that was made, or one that is closed. Failed connects are always told. */
export const thresholds = {
  slowConnectUs: {
    name: 'slowConnectUs',
    meaning: 'a connect that took at least so long is told; 4294967295: none is',
    section,
    offset: 0,
    default: 500_000,
  },
  retransmittedSegments: {
    name: 'retransmittedSegments',
    meaning: 'a closed connection is told when it sent at least so many segments again; 0: whatever it sent; 4294967295: never for that',
    section,
    offset: 4,
    default: 10,
  },
  retransmittedPerMille: {
    name: 'retransmittedPerMille',
    meaning: '… and when these were at least so large a part of all that it sent',
    section,
    offset: 8,
    default: 50,
  },
} as const satisfies Readonly<Record<string, ProbeThreshold>>;
