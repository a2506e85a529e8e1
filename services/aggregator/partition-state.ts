import { Turn } from '../../core/turn.ts';
import { type Dispositions, emptyDispositions } from './dispositions.ts';
import type { HeldTotal } from './held-records.ts';
import { type NodeLosses, noLosses } from './node-losses.ts';
import type { RuleSet } from './rules/rule.ts';
import { RuleEngine } from './rules/rule-engine.ts';
import type { Contribution } from './series/contribution.ts';
import { FindingSeries } from './series/finding-series.ts';
import { PartitionSeries, type SeriesOptions } from './series/partition-series.ts';
import { restoreSeries, seriesBlocks } from './series/series-snapshot.ts';
import { type SessionSnapshot, SessionState, sessionFrom, snapshotOf } from './session.ts';
import { WholeMessages } from './whole-messages.ts';

/** A collector's spool holds its own session and what earlier ones left; more live sessions of one node are not plausible. */
const maxSessionsPerNode = 16;
/** Nodes of one partition; beyond, the one that was silent the longest is forgotten. */
const maxNodes = 10_000;

/** Blocks of a checkpoint are made for so long before other work gets its turn. */
const blocksMs = 10;

/** 6: findings keep the parts of the groups that they name, and rules the gaps between cycles. */
export const snapshotVersion = 6;

/** No block of V8's serialization begins so. */
const endOfRules = Buffer.from('end of rules');

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
  /** What samples and counters say. */
  readonly series: PartitionSeries;
  /** What the rules say about it. */
  readonly rules: RuleEngine;
  /** Findings as metrics. */
  readonly findings: FindingSeries;
  /** A message is taken in in pieces: who must not see half of it looks through this. */
  readonly messages = new WholeMessages();
  readonly #held: HeldTotal = { bytes: 0 };
  /** By node, then session; a node's sessions in the order in which they came. */
  readonly #nodes = new Map<string, Map<string, SessionState>>();
  readonly #losses = new Map<string, NodeLosses>();
  #forgottenItems = 0;

  constructor(
    series: SeriesOptions = { maxSeries: 200_000, probes: new Map() },
    rules: PartitionRules = { set: noRules, cluster: 'default', partition: 0 },
  ) {
    this.series = new PartitionSeries(series);
    this.rules = new RuleEngine(rules.set, {
      ...rules,
      contributionsOf: (node) => this.series.store.nodes.get(node)?.contributions ?? new Map<string, Contribution>(),
    });
    this.series.input.watcher = this.rules;
    this.findings = new FindingSeries(this.series.store);
  }

  /** The state of a session, made on its first message. A node's oldest session goes when it has too many. */
  session(node: string, session: string): SessionState {
    let sessions = this.#nodes.get(node);
    const known = sessions?.get(session);
    if (known !== undefined) return known;
    if (sessions === undefined) {
      if (this.#nodes.size >= maxNodes) this.#forgetSilentNode();
      sessions = new Map();
      this.#nodes.set(node, sessions);
    }
    const created = new SessionState(node, session, this.#held, this.losses(node));
    sessions.set(session, created);
    this.#forgetOldSessions(sessions);
    return created;
  }

  /** What of a node's items is known to be lost. */
  losses(node: string): NodeLosses {
    let losses = this.#losses.get(node);
    if (losses === undefined) {
      losses = noLosses();
      this.#losses.set(node, losses);
    }
    return losses;
  }

  /** Nodes that were heard, and when that was: the partition's time without outages. */
  *nodes(): Iterable<{ readonly name: string; readonly heardMs: number }> {
    for (const [name, sessions] of this.#nodes) {
      let heardMs = 0;
      for (const session of sessions.values()) heardMs = Math.max(heardMs, session.heardMs);
      yield { name, heardMs };
    }
  }

  *sessions(): Iterable<SessionState> {
    for (const sessions of this.#nodes.values()) yield* sessions.values();
  }

  /** Whether the container runtime of a node has told Pods. */
  isKubernetes(node: string): boolean {
    for (const { identity } of this.#nodes.get(node)?.values() ?? []) if (identity.hasPods) return true;
    return false;
  }

  /** Bytes of all held records. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** Items that the sessions have numbered since each was first read, those of forgotten sessions included. */
  get expectedItems(): number {
    let items = this.#forgottenItems;
    for (const session of this.sessions()) items += session.nextItem - session.firstRead;
    return items;
  }

  snapshot(): PartitionSnapshot {
    return {
      version: snapshotVersion,
      rawOffset: this.rawOffset,
      nextEvent: this.nextEvent,
      complete: this.complete,
      unreadable: this.unreadable,
      dispositions: this.dispositions,
      forgottenItems: this.#forgottenItems,
      sessions: [...this.sessions()].map(snapshotOf),
      losses: [...this.#losses],
    };
  }

  /** Rules and series for a checkpoint, in blocks. Nothing may change until the last one is taken. */
  async *blocks(): AsyncGenerator<Uint8Array, void, undefined> {
    const turn = new Turn(blocksMs);
    for (const block of this.rules.snapshot()) {
      yield block;
      if (turn.isOver()) await turn.next();
    }
    yield endOfRules;
    yield* seriesBlocks(this.series.store);
  }

  /** @param blocks what `blocks` gave */
  restore(snapshot: PartitionSnapshot, blocks: readonly Uint8Array[] = []): void {
    this.rawOffset = snapshot.rawOffset;
    this.nextEvent = snapshot.nextEvent;
    this.complete = snapshot.complete;
    this.#forgottenItems = snapshot.forgottenItems;
    Object.assign(this.unreadable, snapshot.unreadable);
    Object.assign(this.dispositions, snapshot.dispositions);
    for (const [node, losses] of snapshot.losses) this.#losses.set(node, losses);
    for (const session of snapshot.sessions) {
      const sessions = this.#nodes.get(session.node) ?? new Map<string, SessionState>();
      this.#nodes.set(session.node, sessions.set(session.session, sessionFrom(session, this.#held, this.losses(session.node))));
    }
    const sessionOf = (node: string, session: string): SessionState | undefined => this.#nodes.get(node)?.get(session);
    if (blocks.length === 0) return;
    const end = blocks.findIndex((block) => endOfRules.equals(block));
    restoreSeries(this.series.store, blocks.slice(end + 1), sessionOf);
    this.rules.restore(blocks.slice(0, end), sessionOf);
    this.findings.restore(this.rules.open());
  }

  /** A session with held records is still at work. */
  #forgetOldSessions(sessions: Map<string, SessionState>): void {
    const tooMany = sessions.size - maxSessionsPerNode;
    for (const [key, state] of [...sessions].slice(0, Math.max(0, tooMany))) {
      if (state.held.count === 0) this.#forget(sessions, key, state);
    }
  }

  #forgetSilentNode(): void {
    let silent: { node: string; lastAppendedMs: number } | undefined;
    for (const [node, sessions] of this.#nodes) {
      let lastAppendedMs = 0;
      for (const state of sessions.values())
        lastAppendedMs = Math.max(lastAppendedMs, state.held.count > 0 ? Infinity : state.lastAppendedMs);
      if (silent === undefined || lastAppendedMs < silent.lastAppendedMs) silent = { node, lastAppendedMs };
    }
    if (silent === undefined || silent.lastAppendedMs === Infinity) return;
    this.rules.forget(silent.node);
    const sessions = this.#nodes.get(silent.node) as Map<string, SessionState>;
    for (const [key, state] of sessions) this.#forget(sessions, key, state);
    this.#nodes.delete(silent.node);
    this.#losses.delete(silent.node);
  }

  #forget(sessions: Map<string, SessionState>, key: string, state: SessionState): void {
    this.#forgottenItems += state.nextItem - state.firstRead;
    this.dispositions.forgottenSessions++;
    this.series.store.forgetSession(state.node, key);
    sessions.delete(key);
  }
}

/** The state in a checkpoint. */
export interface PartitionSnapshot {
  version: typeof snapshotVersion;
  rawOffset: number;
  nextEvent: number;
  complete: boolean;
  unreadable: Record<string, number>;
  dispositions: Dispositions;
  forgottenItems: number;
  sessions: readonly SessionSnapshot[];
  losses: readonly (readonly [node: string, losses: NodeLosses])[];
}

/** The rules of a partition, and what their findings' ids are made of. */
export interface PartitionRules {
  readonly set: RuleSet;
  /** orchestrator.cluster.name */
  readonly cluster: string;
  readonly partition: number;
}

export const noRules: RuleSet = { rules: [], signals: [], version: '', params: () => new Float64Array(0) };
