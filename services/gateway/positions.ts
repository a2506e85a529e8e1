import type { Bus } from '../../core/bus/bus.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';

const group = 'gateway';
/** What fits a commit's metadata (4 KiB). A session that fell out resends what it still holds: repeats, not losses. */
const maxSessions = 48;
/** What is kept in memory: the sessions used last. */
const maxRemembered = 16_384;

/**
 * How far each session is durable, so that a stream goes on where it broke off. Kept as the metadata of a group's
 * commit beside the raw topic; what was appended after the last commit is read again at start.
 */
export class Positions {
  readonly #bus: Bus;
  readonly #seqs = new Map<string, { seq: number; partition: number }>();
  readonly #dirty = new Set<number>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async load(): Promise<void> {
    for (let partition = 0; partition < this.#bus.partitions(topics.raw); partition++) {
      const commit = await this.#bus.committed(group, topics.raw, partition);
      if (commit !== undefined) {
        for (const [session, seq] of Object.entries(parse(commit.metadata))) this.#seqs.set(session, { seq, partition });
      }
      const { earliest, next } = await this.#bus.offsets(topics.raw, partition);
      const from = Math.max(earliest, commit?.offset ?? earliest);
      if (from >= next) continue;
      for await (const fetch of this.#bus.read(topics.raw, partition, from, { until: next })) {
        for (const message of fetch.messages) this.#learn(message.value, partition);
      }
    }
  }

  /** Highest durable seq of a session, 0 if none is known. */
  acked(session: string): number {
    return this.#seqs.get(session)?.seq ?? 0;
  }

  /** Never goes back: of two streams of a session the slower one repeats what is durable. */
  advance(session: string, seq: number, partition: number): void {
    const durable = Math.max(seq, this.acked(session));
    // Re-inserted: the map's order is that of the last use.
    this.#seqs.delete(session);
    this.#seqs.set(session, { seq: durable, partition });
    if (this.#seqs.size > maxRemembered) this.#seqs.delete(this.#seqs.keys().next().value as string);
    this.#dirty.add(partition);
  }

  /** Writes what changed. */
  async save(): Promise<void> {
    const partitions = [...this.#dirty];
    this.#dirty.clear();
    for (const partition of partitions) {
      const { next } = await this.#bus.offsets(topics.raw, partition);
      const mine = [...this.#seqs].filter(([, position]) => position.partition === partition).slice(-maxSessions);
      const metadata = JSON.stringify(Object.fromEntries(mine.map(([session, { seq }]) => [session, seq])));
      await this.#bus.commit(group, topics.raw, partition, { offset: next, metadata });
    }
  }

  #learn(value: Uint8Array, partition: number): void {
    try {
      const raw = RawMessage.decode(value);
      if (raw.replay) this.advance(Buffer.from(raw.replay.session ?? []).toString('hex'), raw.replay.seq ?? 0, partition);
      else if (raw.session.length === 16) {
        this.advance(Buffer.from(raw.session).toString('hex'), CollectorMessage.decode(raw.message).seq, partition);
      }
    } catch {
      // Not readable: the aggregator keeps it in the DLQ; here it only means that its seq is not known.
    }
  }
}

function parse(metadata: string): Record<string, number> {
  try {
    return JSON.parse(metadata) as Record<string, number>;
  } catch {
    return {};
  }
}
