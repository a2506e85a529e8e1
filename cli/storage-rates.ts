import type { Collector } from '../services/collector/main.ts';
import type { Pipeline } from './pipeline.ts';

/** How full a log on the disk is. */
export interface LogFill {
  /** spool, or a topic. */
  readonly name: string;
  /** Of a topic. */
  readonly partition?: number;
  readonly bytes: number;
  /** Cap in force. */
  readonly maxBytes: number;
  /** First message that is kept, and the one after the last. */
  readonly earliest: number;
  readonly next: number;
}

/** A log, and how fast it grows. */
export interface LogGrowth extends LogFill {
  /** Bytes per second that were appended lately, whatever was deleted. */
  readonly bytesPerSecond: number;
  /** So many seconds were looked at. */
  readonly overSeconds: number;
}

/** All logs of a running process, each partition of a topic by itself: each has the cap. */
export function logFills(pipeline: Pick<Pipeline, 'bus'>, collector: Pick<Collector, 'spool'> | undefined): LogFill[] {
  const logs = pipeline.bus.stats().map((log) => ({ ...log, name: log.topic }));
  return collector === undefined ? logs : [{ ...collector.spool(), name: 'spool' }, ...logs];
}

const sampleMs = 10_000;
/** The last ten minutes count. */
const maxSamples = 60;

/** How fast the logs of a running process grow. */
export class StorageRates {
  readonly #read: () => readonly LogFill[];
  readonly #samples: { readonly atMs: number; readonly next: ReadonlyMap<string, number> }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(read: () => readonly LogFill[]) {
    this.#read = read;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
  }

  /** All logs, now. A message is taken for as large as those that are kept. */
  report(): LogGrowth[] {
    const [oldest] = this.#samples;
    const overSeconds = (performance.now() - oldest.atMs) / 1000;
    return this.#read().map((fill) => {
      const { bytes, earliest, next } = fill;
      const messages = next - (oldest.next.get(keyOf(fill)) ?? next);
      const meanBytes = next > earliest ? bytes / (next - earliest) : 0;
      return { ...fill, overSeconds, bytesPerSecond: overSeconds > 0 ? (messages * meanBytes) / overSeconds : 0 };
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    this.#samples.push({ atMs: performance.now(), next: new Map(this.#read().map((fill) => [keyOf(fill), fill.next])) });
    if (this.#samples.length > maxSamples) this.#samples.shift();
  }
}

function keyOf({ name, partition }: LogFill): string {
  return `${name}/${partition ?? ''}`;
}
