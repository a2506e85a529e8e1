import { pino } from 'pino';

/** The service's own log: one JSON line an entry on standard error, or nothing. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** A log on standard error. It is written synchronously: a crash loses no line. */
export function createLog(level: LogLevel): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}

/** Lets one entry per key and period through, and tells with the next one how many were held back. */
export class LogLimiter {
  readonly #periodMs: number;
  readonly #seen = new Map<string, { nextMs: number; heldBack: number }>();

  constructor(periodMs = 60_000) {
    this.#periodMs = periodMs;
  }

  /** Calls `write` with the number of entries held back since the last one, if the key may be logged now. */
  once(key: string, write: (heldBack: number) => void): void {
    const nowMs = performance.now();
    const entry = this.#seen.get(key);
    if (entry !== undefined && nowMs < entry.nextMs) {
      entry.heldBack++;
      return;
    }
    if (this.#seen.size >= 1024) this.#seen.clear();
    this.#seen.set(key, { nextMs: nowMs + this.#periodMs, heldBack: 0 });
    write(entry?.heldBack ?? 0);
  }
}
