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
 * commit beside the raw topic; what was appended after the last commit is read again at start. Several gateways share the
 * commit: each takes over what the others wrote, and writes its own again until it finds it there, because they may
 * overwrite each other. What is lost between them costs repeats: no position is ever higher than what is durable.
 */
export class Positions {
  readonly #bus: Bus;
  readonly #seqs = new Map<string, { seq: number; partition: number }>();
  /** Sessions by partition, of this process, that were not found in the commit as they are; those used last at the end. */
  readonly #untold = new Map<number, Set<string>>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async load(): Promise<void> {
    for (let partition = 0; partition < this.#bus.partitions(topics.raw); partition++) {
      const commit = await this.#bus.committed(group, topics.raw, partition);
      if (commit !== undefined) {
        for (const [session, seq] of Object.entries(parse(commit.metadata))) this.#remember(session, seq, partition);
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
    this.#remember(session, Math.max(seq, this.acked(session)), partition);
    const untold = this.#untold.get(partition) ?? new Set();
    untold.delete(session);
    untold.add(session);
    this.#untold.set(partition, untold);
  }

  /** Writes what is not there yet. */
  async save(): Promise<void> {
    for (const partition of [...this.#untold.keys()]) await this.#savePartition(partition);
  }

  async #savePartition(partition: number): Promise<void> {
    const { next } = await this.#bus.offsets(topics.raw, partition);
    const written = parse((await this.#bus.committed(group, topics.raw, partition))?.metadata ?? '');
    const untold = this.#untold.get(partition) ?? new Set();
    for (const session of untold) if ((written[session] ?? 0) >= this.acked(session)) untold.delete(session);
    for (const [session, seq] of Object.entries(written)) if (seq > this.acked(session)) this.#remember(session, seq, partition);
    if (untold.size === 0) {
      this.#untold.delete(partition);
      return;
    }
    const others = [...this.#seqs].filter(([, position]) => position.partition === partition).map(([session]) => session);
    const kept = [...new Set([...[...others, ...Object.keys(written)].filter((session) => !untold.has(session)), ...untold])];
    const metadata = JSON.stringify(Object.fromEntries(kept.slice(-maxSessions).map((session) => [session, this.acked(session)])));
    await this.#bus.commit(group, topics.raw, partition, { offset: next, metadata });
  }

  /** Re-inserted: the map's order is that of the last use. */
  #remember(session: string, seq: number, partition: number): void {
    this.#seqs.delete(session);
    this.#seqs.set(session, { seq, partition });
    if (this.#seqs.size > maxRemembered) this.#seqs.delete(this.#seqs.keys().next().value as string);
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

/** Of what others may have written only what is a position: one that is too high would cost messages. */
function parse(metadata: string): Record<string, number> {
  let found: unknown;
  try {
    found = JSON.parse(metadata);
  } catch {
    return {};
  }
  const isPosition = ([session, seq]: [string, unknown]): boolean => /^[0-9a-f]{32}$/.test(session) && Number.isSafeInteger(seq);
  return Object.fromEntries(Object.entries(found ?? {}).filter(isPosition));
}
