import { type DestinationStream, pino } from 'pino';
import { AppError } from './app-error.ts';
import { logText } from './log-text.ts';

/** The service's own log: one entry a line on standard error, or nothing. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** json: one object a line; text: for people. */
export type LogFormat = 'json' | 'text';

/** A log whose level is changed while it is used. */
export interface LeveledLog extends Log {
  setLevel(level: LogLevel): void;
}

/** Bytes of lines that wait for a disk to have room again; beyond, lines are dropped. */
const maxWaitingBytes = 1024 * 1024;

/** Standard error. A disk that takes no line, or a reader that is gone, must not end who writes. */
function standardError(fd: number): DestinationStream {
  return pino.destination({ fd, sync: true, maxLength: maxWaitingBytes }).on('error', () => undefined);
}

/**
 * A log on standard error. It is written synchronously: a crash loses no line, and what a full
 * disk refuses is written with the next line that it takes.
 * @param out left out: standard error; a number: that descriptor
 */
export function createLog(level: LogLevel, format: LogFormat = 'json', out: DestinationStream | number = 2): LeveledLog {
  const lines = typeof out === 'number' ? standardError(out) : out;
  const destination = format === 'json' ? lines : { write: (line: string) => lines.write(logText(line)) };
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // What is expected to fail needs no stack.
      serializers: { err: (err: unknown) => (err instanceof AppError ? errorFields(err) : pino.stdSerializers.err(err as Error)) },
    },
    destination,
  );
  return Object.assign(log, {
    setLevel(next: LogLevel) {
      log.level = next;
    },
  });
}

/** The same log, whose entries say which part of the program wrote them. */
export function logOf(log: Log, component: string): Log {
  const at = (level: keyof Log) => (fields: object, message: string) => log[level]({ component, ...fields }, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/**
 * The same log, which writes a warning or an error of one code (sink, partition) once a minute, with the number of those
 * that were held back: whoever makes something fail over and over must not fill a disk with it.
 */
export function limitedLog(log: Log, limiter = new LogLimiter()): Log {
  const limited = (level: 'warn' | 'error') => (fields: object, message: string) => {
    const { code, err, sink, partition } = fields as Readonly<Record<string, unknown>>;
    const what = code ?? (err instanceof AppError ? err.code : message);
    limiter.once([level, what, sink, partition].join(' '), (heldBack) =>
      log[level](heldBack === 0 ? fields : { ...fields, heldBack: heldBack + heldBackOf(fields) }, message),
    );
  };
  return { debug: log.debug.bind(log), info: log.info.bind(log), warn: limited('warn'), error: limited('error') };
}

/** Who writes may limit by a key of its own, too. */
function heldBackOf(fields: object): number {
  const { heldBack } = fields as { heldBack?: unknown };
  return typeof heldBack === 'number' ? heldBack : 0;
}

function errorFields({ code, message, remedy }: AppError): object {
  return { code, message, remedy };
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
