/** A moment or a signed distance in exact integers: seconds + nanos / 1e9, 0 <= nanos < 1e9. A double cannot hold Unix nanoseconds. */
export interface Instant {
  readonly seconds: number;
  readonly nanos: number;
}

/** Later nanoseconds do not fit 63 bits, as stores keep them (the year 2262). */
export const maxUnixSeconds = 9_223_372_035;

const nanosPerSecond = 1_000_000_000n;

/** From nanoseconds. */
export function instantOf(ns: bigint): Instant {
  const seconds = ns / nanosPerSecond - (ns % nanosPerSecond < 0n ? 1n : 0n);
  return { seconds: Number(seconds), nanos: Number(ns - seconds * nanosPerSecond) };
}

/** In nanoseconds. */
export function nanosOf(instant: Instant): bigint {
  return BigInt(instant.seconds) * nanosPerSecond + BigInt(instant.nanos);
}

/** In whole milliseconds, rounded down. */
export function millisOf(instant: Instant): number {
  return instant.seconds * 1000 + Math.floor(instant.nanos / 1e6);
}

/** The wall clock now, to the millisecond. */
export function wallNow(): Instant {
  const ms = Date.now();
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}
