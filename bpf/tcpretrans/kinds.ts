/** enum retransmit_kind of tcpretrans.bpf.c: why a segment is sent again. */
export const retransmitKinds = { OTHER: 0, RTO: 1, FAST: 2, TLP: 3, SYN: 4, SYN_ACK: 5 } as const;

/** Name of each kind: event.reason, and the label `kind` of the counters. */
export const retransmitKindNames: ReadonlyMap<number, string> = new Map(
  Object.entries(retransmitKinds).map(([name, value]) => [value, name]),
);
