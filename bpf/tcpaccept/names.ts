/** enum level of tcpaccept.bpf.c: what is remarkable about a queue. */
export const levels = { FILLING: 1, STALLED: 2, FULL: 3 } as const;

/** enum fill: how much of the queue others had taken when a connection was put into it. */
export const fills = { below_quarter: 0, below_half: 1, below_three_quarters: 2, below_full: 3, full: 4 } as const;

function namesOf(values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(values).map(([name, value]) => [value, name]));
}

/** event.reason of a queue. */
export const levelNames = namesOf(levels);

/** The label `fill` of the counter. */
export const fillNames = namesOf(fills);
