import { createHash } from 'node:crypto';
import type { Bus } from '../../core/bus/bus.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';

const group = 'gateway';
/** What fits a commit's metadata (4 KiB). A session that fell out resends what it still holds: repeats, not losses. */
const maxSessions = 48;
/** What is kept in memory: the sessions used last. */
const maxRemembered = 16_384;

/**
 * Whose stream it is, as positions know it: 32 hex digits. Of both, because two nodes may have a session of one id (machines that
 * were cloned). A replay has no node of its own (''): its session stands for the capture.
 */
export function streamKey(node: string, session: Uint8Array): string {
  return createHash('sha256').update(node).update('\0').update(session).digest('hex').slice(0, 32);
}

/**
 * How far each node's session is durable, so that a stream goes on where it broke off. Kept as the metadata of a group's
 * commit beside the raw topic; what was appended after the last commit is read again at start. Several gateways share the
 * commit: each takes over what the others wrote, and writes its own again until it finds it there, because they may
 * overwrite each other. What is lost between them costs repeats: no position is ever higher than what is durable.
 */
export class Positions {
  readonly #bus: Bus;
  readonly #seqs = new Map<string, { seq: number; partition: number }>();
  /** Streams by partition, of this process, that were not found in the commit as they are; those used last at the end. */
  readonly #untold = new Map<number, Set<string>>();
  /** Partitions that are being written, with what ends it. */
  readonly #saves = new Map<number, Promise<void>>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async load(): Promise<void> {
    for (let partition = 0; partition < this.#bus.partitions(topics.raw); partition++) {
      const commit = await this.#bus.committed(group, topics.raw, partition);
      if (commit !== undefined) {
        for (const [key, seq] of Object.entries(parse(commit.metadata))) this.#remember(key, seq, partition);
      }
      const { earliest, next } = await this.#bus.offsets(topics.raw, partition);
      const from = Math.max(earliest, commit?.offset ?? earliest);
      if (from >= next) continue;
      for await (const fetch of this.#bus.read(topics.raw, partition, from, { until: next })) {
        for (const message of fetch.messages) this.#learn(message.value, partition);
      }
    }
  }

  /** Highest durable seq of a stream, 0 if none is known. */
  acked(key: string): number {
    return this.#seqs.get(key)?.seq ?? 0;
  }

  /** Never goes back: of two streams of a session the slower one repeats what is durable. */
  advance(key: string, seq: number, partition: number): void {
    this.#remember(key, Math.max(seq, this.acked(key)), partition);
    const untold = this.#untold.get(partition) ?? new Set();
    untold.delete(key);
    untold.add(key);
    this.#untold.set(partition, untold);
  }

  /** Writes what is not there yet, but for partitions that are still being written: one that nobody answers for holds up no other. */
  async save(): Promise<void> {
    await all([...this.#untold.keys()].filter((partition) => !this.#saves.has(partition)).map((partition) => this.#begin(partition)));
  }

  /** Writes what is not there yet, at the end: behind what is still being written. */
  async saveLast(): Promise<void> {
    const last = async (partition: number): Promise<void> => {
      await this.#saves.get(partition)?.catch(() => undefined);
      await this.#begin(partition);
    };
    await all([...this.#untold.keys()].map(last));
  }

  #begin(partition: number): Promise<void> {
    const save = this.#savePartition(partition).finally(() => this.#saves.delete(partition));
    this.#saves.set(partition, save);
    return save;
  }

  async #savePartition(partition: number): Promise<void> {
    const { next } = await this.#bus.offsets(topics.raw, partition);
    const written = parse((await this.#bus.committed(group, topics.raw, partition))?.metadata ?? '');
    const untold = this.#untold.get(partition) ?? new Set();
    for (const key of untold) if ((written[key] ?? 0) >= this.acked(key)) untold.delete(key);
    for (const [key, seq] of Object.entries(written)) if (seq > this.acked(key)) this.#remember(key, seq, partition);
    if (untold.size === 0) {
      this.#untold.delete(partition);
      return;
    }
    const others = [...this.#seqs].filter(([, position]) => position.partition === partition).map(([key]) => key);
    const kept = [...new Set([...[...others, ...Object.keys(written)].filter((key) => !untold.has(key)), ...untold])];
    const metadata = JSON.stringify(Object.fromEntries(kept.slice(-maxSessions).map((key) => [key, this.acked(key)])));
    await this.#bus.commit(group, topics.raw, partition, { offset: next, metadata });
  }

  /** Re-inserted: the map's order is that of the last use. */
  #remember(key: string, seq: number, partition: number): void {
    this.#seqs.delete(key);
    this.#seqs.set(key, { seq, partition });
    if (this.#seqs.size > maxRemembered) this.#seqs.delete(this.#seqs.keys().next().value as string);
  }

  #learn(value: Uint8Array, partition: number): void {
    try {
      const raw = RawMessage.decode(value);
      if (raw.replay) this.advance(streamKey('', raw.replay.session ?? new Uint8Array(0)), raw.replay.seq ?? 0, partition);
      else if (raw.session.length === 16) {
        this.advance(streamKey(raw.node, raw.session), CollectorMessage.decode(raw.message).seq, partition);
      }
    } catch {
      // Not readable: the aggregator keeps it in the DLQ; here it only means that its seq is not known.
    }
  }
}

/** Waits for each, also where one has failed; then rejects as the first of those that did. */
async function all(saves: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(saves)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Of what others may have written only what is a position: one that is too high would cost messages. */
function parse(metadata: string): Record<string, number> {
  let found: unknown;
  try {
    found = JSON.parse(metadata);
  } catch {
    return {};
  }
  const isPosition = ([key, seq]: [string, unknown]): boolean =>
    /^[0-9a-f]{32}$/.test(key) && Number.isSafeInteger(seq) && Number(seq) >= 0;
  return Object.fromEntries(Object.entries(found ?? {}).filter(isPosition));
}
