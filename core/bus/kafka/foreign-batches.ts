import { kafkaError } from './errors.ts';
import { isUnreadable } from './topics.ts';

/** For how long an answer counts. */
const answerAgeMs = 60_000;
const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

export interface ForeignBatchesOptions {
  /** The setting compression.type of a topic, as the brokers have it now. */
  setting(topic: string): Promise<string>;
  /** Told of each batch that is passed over, and of brokers that do not answer. */
  failed(what: string, thrown: unknown): void;
}

/**
 * Batches that are compressed with what is not read here. One is its producer's fault, and passed over. Brokers that compress so
 * would make every message unreadable: better to stop. They are asked once a minute for each topic, however many come, and
 * nobody waits for those that do not answer longer than for one try: the batch is a hole anyway, and the next one asks again.
 */
export class ForeignBatches {
  readonly #options: ForeignBatchesOptions;
  /** By topic. */
  readonly #settings = new Map<string, { readonly setting: Promise<string>; readonly askedAtMs: number }>();

  constructor(options: ForeignBatchesOptions) {
    this.#options = options;
  }

  /** Rejects with KAFKA_COMPRESSION where brokers compress every batch of the topic so. */
  async found(topic: string, partition: number, codec: number): Promise<void> {
    const details = { topic, partition, found: codecNames[codec] ?? `codec ${codec}` };
    const setting = await this.#setting(topic).catch((thrown: unknown) => {
      this.#options.failed(`the settings of ${topic}`, thrown);
      return '';
    });
    if (isUnreadable(setting)) throw kafkaError('KAFKA_COMPRESSION', details);
    this.#options.failed(`reading ${topic}/${partition}`, kafkaError('KAFKA_FOREIGN_BATCH', details));
  }

  #setting(topic: string): Promise<string> {
    const known = this.#settings.get(topic);
    if (known !== undefined && performance.now() - known.askedAtMs < answerAgeMs) return known.setting;
    const asked = { setting: this.#options.setting(topic), askedAtMs: performance.now() };
    this.#settings.set(topic, asked);
    asked.setting.catch(() => {
      if (this.#settings.get(topic) === asked) this.#settings.delete(topic);
    });
    return asked.setting;
  }
}
