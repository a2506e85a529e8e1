/** A number of which 0 says that it is not known: -1, as EventValue tells an absent one. */
export function nonZero(value: number): number {
  return value === 0 ? -1 : value;
}

/** 12.3 ms below a second, 1.03 s from there on. */
export function latencyText(us: number): string {
  return us < 1_000_000 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1_000_000).toFixed(2)} s`;
}
