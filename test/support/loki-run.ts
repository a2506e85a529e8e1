import { join } from 'node:path';
import { type EmbeddedLog, openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { DeadLetter, topics } from '../../proto/bus.ts';
import { sinksSchema } from '../../services/sinks/config.ts';
import { type Sinks, startSinks } from '../../services/sinks/main.ts';
import type { SinkCounters } from '../../services/sinks/metrics.ts';
import { countLines, type LokiReader, linesOf } from './loki-server.ts';

const plentyBytes = 8 * 1024 ** 3;
const log = createLog(process.env.JITTERSCOPE_TEST_LOG === undefined ? 'silent' : 'warn');

/** An embedded bus with one partition of events, and sinks over it, in this process. */
export class LokiRun {
  readonly bus: EmbeddedLog;
  readonly sinks: Sinks;

  private constructor(bus: EmbeddedLog, sinks: Sinks) {
    this.bus = bus;
    this.sinks = sinks;
  }

  /** @param sections sections of `sinks`; files are off unless they are named. */
  static async start(dataDir: string, sections: Readonly<Record<string, object>>, clusterName = 'c1'): Promise<LokiRun> {
    const spec = { partitions: 1, maxBytes: plentyBytes, retain: 'oldest' } as const;
    const bus = await openEmbeddedLog({
      dir: join(dataDir, 'bus'),
      topics: [
        { ...spec, name: topics.events },
        { ...spec, name: topics.deadLetters },
      ],
    });
    const config = sinksSchema.parse({ file: { enabled: false }, prometheus: { enabled: false }, ...sections });
    const policy = { initialMs: 50, maxMs: 1_000, pauseMs: 500 };
    return new LokiRun(bus, await startSinks({ bus, config, dataDir, clusterName, log, policy }));
  }

  /** Messages that a sink has not committed. */
  async lag(sink: string): Promise<number> {
    return (await this.sinks.lag()).get(sink)?.get(0) ?? 0;
  }

  countersOf(sink: string): SinkCounters {
    const found = this.sinks.stats().find((one) => one.sink === sink);
    if (found === undefined) throw new Error(`there is no sink ${sink}`);
    return found;
  }

  /** The dead letters, in order. */
  async deadLetters(): Promise<{ readonly target: string; readonly code: string; readonly reason: string; readonly id: string }[]> {
    const letters = [];
    const { next } = await this.bus.offsets(topics.deadLetters, 0);
    if (next === 0) return [];
    for await (const fetch of this.bus.read(topics.deadLetters, 0, 0, { until: next })) {
      for (const { value } of fetch.messages) {
        const { target, code, reason, eventId } = DeadLetter.decode(value);
        letters.push({ target: target ?? '', code: code ?? '', reason: reason ?? '', id: eventId ?? '' });
      }
    }
    return letters;
  }

  async close(): Promise<void> {
    await this.sinks.close(1_000);
    await this.bus.close();
  }
}

/** What Loki holds of the events of a node. */
export interface Holding {
  /** Ids, each once. */
  readonly distinct: ReadonlySet<string>;
  /** Lines, those that are there twice counted twice. */
  readonly lines: number;
}

/** Reads back what Loki holds with ids of this prefix, of a time (Unix s). */
export async function holdingOf(reader: LokiReader, prefix: string, fromS: number, toS: number): Promise<Holding> {
  const query = `{service_name="jitterscope"} | event_id=~"${prefix}-.*"`;
  const found = await linesOf(reader, `${query} | keep event_id | line_format ""`, fromS, toS);
  const distinct = new Set(found.map(({ labels }) => labels.event_id));
  return { distinct, lines: await countLines(reader, query, toS, toS - fromS) };
}
