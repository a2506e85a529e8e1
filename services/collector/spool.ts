import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BusObserver } from '../../core/bus/bus.ts';
import { unsyncedDisk } from '../../core/bus/disk.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import type { PartitionStats } from '../../core/bus/partition-log.ts';

/** What a spool folder belongs to. */
export interface SpooledSession {
  readonly node: string;
  /** 32 hex digits. */
  readonly session: string;
  /** Unix time in ms, for the order of sessions. */
  readonly startedMs: number;
}

/** How far a session is acked. */
export interface SpoolPosition {
  readonly seq: number;
  readonly nextItem: number;
}

const topic = 'spool';
const group = 'gateway';

/** Where a session's segments lie. */
export function segmentFolder(root: string, session: string): string {
  return join(root, session, topic, '0');
}

/**
 * The messages of one session until they are acked: a log whose offset is the message's seq - 1. Written before it is
 * sent, not synced: it outlives the process, not the machine. At its cap the oldest messages go; the sender sees the hole.
 */
export class Spool {
  readonly session: SpooledSession;
  readonly #dir: string;
  readonly #log: EmbeddedLog;

  private constructor(dir: string, session: SpooledSession, log: EmbeddedLog) {
    this.#dir = dir;
    this.session = session;
    this.#log = log;
  }

  /** Opens or creates `<root>/<session>/`. */
  static async open(root: string, session: SpooledSession, maxBytes: number, observer: BusObserver): Promise<Spool> {
    const dir = join(root, session.session);
    await mkdir(dir, { recursive: true });
    // In one step: a crash must not leave half of it beside messages that nobody has yet.
    await writeFile(join(dir, 'session.json.tmp'), JSON.stringify(session));
    await rename(join(dir, 'session.json.tmp'), join(dir, 'session.json'));
    const topics = [{ name: topic, partitions: 1, maxBytes, retain: 'oldest', deleteCheckpointed: true }] as const;
    const log = await openEmbeddedLog({ dir, topics, observer, disk: unsyncedDisk, commitMs: 0 });
    return new Spool(dir, session, log);
  }

  /** Sessions that earlier collectors left, oldest first. One whose description is damaged is taken for the given node's. */
  static async leftBehind(root: string, node: string): Promise<SpooledSession[]> {
    const sessions: SpooledSession[] = [];
    for (const name of await readdir(root).catch(() => [])) {
      if (!/^[0-9a-f]{32}$/.test(name)) continue;
      const text = await readFile(join(root, name, 'session.json'), 'utf8').catch(() => '');
      const session = parse(text);
      if (session?.session === name) sessions.push(session);
      else sessions.push({ node, session: name, startedMs: (await stat(join(root, name))).mtimeMs });
    }
    return sessions.sort((a, b) => a.startedMs - b.startedMs);
  }

  /** Keeps one message; its seq was `nextSeq`. */
  append(message: Uint8Array): Promise<number> {
    return this.#log.append(topic, 0, [message]);
  }

  /** Seq after the last message. */
  async nextSeq(): Promise<number> {
    return (await this.#log.offsets(topic, 0)).next + 1;
  }

  /** Messages from a seq on, with the holes between them, up to and with `lastSeq`; with Infinity waits for more. */
  read(fromSeq: number, signal: AbortSignal, lastSeq = Infinity) {
    const until = Math.min(lastSeq, Number.MAX_SAFE_INTEGER);
    return this.#log.read(topic, 0, fromSeq - 1, { signal, maxBytes: 1024 * 1024, until });
  }

  /** Fill and cap. */
  stats(): PartitionStats {
    return this.#log.stats()[0];
  }

  /** Everything up to and with seq is durable elsewhere; nextItem is the number of the item behind it. */
  async ack(position: SpoolPosition): Promise<void> {
    await this.#log.commit(group, topic, 0, { offset: position.seq, metadata: JSON.stringify(position) });
    await this.#log.checkpointed(topic, 0, position.seq);
  }

  /** The last ack. */
  async acked(): Promise<SpoolPosition> {
    const commit = await this.#log.committed(group, topic, 0);
    if (commit === undefined) return { seq: 0, nextItem: 0 };
    return { seq: commit.offset, nextItem: (JSON.parse(commit.metadata) as SpoolPosition).nextItem };
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  /** Closes and deletes: nothing of it is needed any more. */
  async remove(): Promise<void> {
    await this.#log.close();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function parse(text: string): SpooledSession | undefined {
  try {
    const { node, session, startedMs } = JSON.parse(text) as Partial<SpooledSession>;
    return typeof node === 'string' && typeof session === 'string' && typeof startedMs === 'number'
      ? { node, session, startedMs }
      : undefined;
  } catch {
    return undefined;
  }
}
