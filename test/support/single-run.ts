import { openBus, type PipelineBus } from '../../cli/bus.ts';
import { type Config, configSchema } from '../../cli/config.ts';
import { createLog } from '../../core/log.ts';
import { slices } from '../../core/slices.ts';
import { topics } from '../../proto/bus.ts';
import { KafkaRoles } from './kafka-roles.ts';
import { patiently } from './patiently.ts';
import { type Figures, figuresOf } from './roles-run.ts';

/** An installation over a Kafka: its address, the prefix of its topics, and what its cluster is called. */
export interface Installation {
  readonly broker: string;
  readonly topicPrefix: string;
  readonly partitions: number;
  readonly cluster: string;
}

const log = createLog('silent');
const messagesAtOnce = 500;
const limitMs = 120_000;

/** The raw messages of an installation, copied while it runs: what is below checkpoints is deleted there. */
export class RawCopy {
  readonly #bus: PipelineBus;
  readonly #values: readonly Buffer[][];
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;

  private constructor(bus: PipelineBus) {
    this.#bus = bus;
    this.#values = Array.from({ length: bus.partitions(topics.raw) }, () => []);
    this.#ended = Promise.all(this.#values.map((_, partition) => this.#follow(partition)));
    // It is looked at in `ends`.
    this.#ended.catch(() => undefined);
  }

  /** Begins to copy; its topics must be there, and whole. */
  static async follow(of: Installation): Promise<RawCopy> {
    return new RawCopy(await openBus(configOf(of), '', { log }));
  }

  /** Where the raw partitions end; nothing may be appended any more. Resolves once all is copied. */
  async ends(): Promise<number[]> {
    const ends = await Promise.all(this.#values.map(async (_, partition) => (await this.#bus.offsets(topics.raw, partition)).next));
    const isCopied = () => this.#values.every(({ length }, partition) => length === ends[partition]);
    await Promise.race([this.#ended, patiently('all raw messages are copied', limitMs, isCopied)]);
    return ends;
  }

  /** Makes topics with the copied messages: each in the partition and at the offset that it had. */
  async appendTo(to: Installation): Promise<void> {
    const bus = await openBus(configOf(to), '', { log });
    try {
      for (const [partition, values] of this.#values.entries())
        for (const some of slices(values, messagesAtOnce)) await bus.append(topics.raw, partition, some);
    } finally {
      await bus.close();
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#ended.catch(() => undefined);
    await this.#bus.close();
  }

  async #follow(partition: number): Promise<void> {
    const values = this.#values[partition];
    for await (const { messages, holes } of this.#bus.read(topics.raw, partition, 0, { signal: this.#stop.signal })) {
      if (holes.length > 0) throw new Error(`partition ${partition} is not whole: ${JSON.stringify(holes)}`);
      for (const { value } of messages) values.push(Buffer.from(value));
    }
  }
}

/**
 * One aggregator and one file sink, over raw messages that are all there, from the first to the last. Resolves with the data
 * folder of the sinks. @param settings path=value, as the other run had them
 */
export async function runAlone(of: Installation, folder: string, ends: readonly number[], settings: readonly string[]): Promise<string> {
  const own = [`cluster.name=${of.cluster}`, `bus.kafka.topicPrefix=${of.topicPrefix}`, `bus.kafka.partitions=${of.partitions}`];
  const roles = await KafkaRoles.over(of.broker, folder, [...own, ...settings]);
  try {
    await Promise.all([roles.start('aggregator'), roles.start('sinks')]);
    await patiently('one aggregator has read all', limitMs, async () => isDone(await figuresOf(roles), ends));
    for (const name of ['sinks', 'aggregator']) await roles.stop(name);
    return roles.folderOf('sinks');
  } finally {
    await roles.killAll();
  }
}

/** Whether the aggregator has processed all of the raw log, and each sink all that came of it. */
export function isDone({ aggregator, sinks }: Figures, ends: readonly number[]): boolean {
  const processed = new Map(aggregator.map(({ partition, rawOffset }) => [partition, rawOffset]));
  const made = aggregator.reduce((total, { nextEvent }) => total + nextEvent, 0);
  const taken = sinks.map(({ partitions }) => partitions.reduce((total, [, found]) => total + found.in - found.repeat, 0));
  return ends.every((end, partition) => processed.get(partition) === end) && taken.every((count) => count === made);
}

function configOf({ broker, topicPrefix, partitions, cluster }: Installation): Config {
  const kafka = { brokers: [broker], topicPrefix, partitions, replicationFactor: 1 };
  return configSchema.parse({ cluster: { name: cluster }, bus: { type: 'kafka', kafka } });
}
