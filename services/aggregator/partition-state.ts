import { type Dispositions, emptyDispositions } from './dispositions.ts';
import { type SessionSnapshot, SessionState, sessionFrom, snapshotOf } from './session.ts';

/** All that the aggregator knows of one raw partition. It follows from the partition's messages and nothing else. */
export class PartitionState {
  /** Next raw offset to process. */
  rawOffset = 0;
  /** Running number of the next event in the partition's output. */
  nextEvent = 0;
  /** False when reading began behind the partition's first message without a checkpoint: sessions start in their middle then. */
  complete = true;
  /** Messages of offsets that could not be read, by reason. */
  readonly unreadable: Record<string, number> = {};
  readonly dispositions: Dispositions = emptyDispositions();
  readonly #sessions = new Map<string, SessionState>();

  /** The state of a session, made on its first message. A node's oldest session goes when it has more than maxSessionsPerNode. */
  session(node: string, session: string): SessionState {
    const key = `${node}\0${session}`;
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    const created = new SessionState(node, session);
    this.#sessions.set(key, created);
    this.#forgetOldSessions(node);
    return created;
  }

  sessions(): Iterable<SessionState> {
    return this.#sessions.values();
  }

  /** Bytes of all held records. */
  get heldBytes(): number {
    let bytes = 0;
    for (const session of this.#sessions.values()) bytes += session.held.bytes;
    return bytes;
  }

  /** Items that the sessions have numbered since each was first read, those of forgotten sessions included. */
  get expectedItems(): number {
    let items = this.#forgottenItems;
    for (const session of this.#sessions.values()) items += session.nextItem - session.firstRead;
    return items;
  }

  snapshot(): PartitionSnapshot {
    return {
      version: 1,
      rawOffset: this.rawOffset,
      nextEvent: this.nextEvent,
      complete: this.complete,
      unreadable: this.unreadable,
      dispositions: this.dispositions,
      forgottenItems: this.#forgottenItems,
      sessions: [...this.#sessions.values()].map(snapshotOf),
    };
  }

  restore(snapshot: PartitionSnapshot): void {
    this.rawOffset = snapshot.rawOffset;
    this.nextEvent = snapshot.nextEvent;
    this.complete = snapshot.complete;
    this.#forgottenItems = snapshot.forgottenItems;
    Object.assign(this.unreadable, snapshot.unreadable);
    Object.assign(this.dispositions, snapshot.dispositions);
    for (const session of snapshot.sessions) this.#sessions.set(`${session.node}\0${session.session}`, sessionFrom(session));
  }

  #forgottenItems = 0;

  #forgetOldSessions(node: string): void {
    const sessions = [...this.#sessions].filter(([, state]) => state.node === node);
    // A session with held records is still at work.
    const oldest = sessions.slice(0, -maxSessionsPerNode).filter(([, state]) => state.held.count === 0);
    for (const [key, state] of oldest) {
      this.#forgottenItems += state.nextItem - state.firstRead;
      this.#sessions.delete(key);
    }
  }
}

/** A collector's spool holds its own session and what earlier ones left; more live sessions of one node are not plausible. */
const maxSessionsPerNode = 16;

/** The state in a checkpoint. */
export interface PartitionSnapshot {
  version: 1;
  rawOffset: number;
  nextEvent: number;
  complete: boolean;
  unreadable: Record<string, number>;
  dispositions: Dispositions;
  forgottenItems: number;
  sessions: readonly SessionSnapshot[];
}
