import { createHash } from 'node:crypto';
import type { Instant } from '../../core/time.ts';
import type { CollectorBody, EnumNames, RecordBatch, TimeOffset } from '../../proto/collect.ts';
import { bounded } from './bounded-name.ts';
import { addTo, type Dispositions } from './dispositions.ts';
import { HeldRecords, type HeldSnapshot, type HeldTotal } from './held-records.ts';
import { type IdentitySnapshot, NodeIdentity } from './identity.ts';
import { KernelCodeNames, type KernelCodeSnapshot } from './kernel-names.ts';
import { type NodeLosses, noLosses } from './node-losses.ts';
import type { ProbeGap } from './probe-gaps.ts';

/** Kernel enumerations of a node, and values of one, that are kept. */
const maxEnums = 64;
const maxEnumValues = 4096;
/** Pairs of probe and reason that a node may tell losses of. */
const maxKernelLosses = 256;

/** One session's stream as far as it was read. A session is one life of one collector. */
export class SessionState {
  readonly node: string;
  /** 32 hex digits. */
  readonly session: string;
  /** First half of every event id of the session. */
  readonly idPrefix: string;
  /** Next message that is not a repeat. */
  nextSeq = 1;
  /** Next item that is not a repeat. */
  nextItem = 0;
  /** Item at which reading began: the session's expected items are nextItem - firstRead. */
  firstRead = 0;
  /** Whether it is known where reading began. */
  placed = false;
  /** From boot time to wall time, as of the newest batch: what `@timestamp` uses. */
  clockOffset: Instant = { seconds: 0, nanos: 0 };
  /** The session's first offset from boot time to wall time: event time goes by it. Undefined until something tells it. */
  firstOffset: Instant | undefined;
  /** How far the node's stream is in event time (boot ns). */
  watermarkNs = 0;
  /** Append time of the newest message. */
  lastAppendedMs = 0;
  /** The partition's time without outages (SeriesStore.clockMs) at the newest message. */
  heardMs = 0;
  readonly identity = new NodeIdentity();
  /** Names of places in the node's kernel. */
  readonly code = new KernelCodeNames();
  readonly held: HeldRecords;
  /** Records that the kernel had no room for since the session's start, by probe and reason. */
  readonly kernelLost = new Map<string, number>();
  /** Losses of the node, over all of its sessions. */
  readonly losses: NodeLosses;
  /** Items that are known to be lost: gaps, and what the kernel had no room for. */
  lostItems = 0;
  /** What the node's probes do not see, as the newest heartbeat told it. */
  probeGaps: readonly ProbeGap[] = [];
  /** Kernel enumerations by name. */
  readonly enums = new Map<string, Map<number, string>>();
  /** Another object each time that `enums` changed. */
  enumsTold: object = {};

  constructor(node: string, session: string, heldTotal: HeldTotal, losses = noLosses()) {
    this.losses = losses;
    this.held = new HeldRecords(heldTotal);
    this.node = node;
    this.session = session;
    this.idPrefix = createHash('sha256').update(node).update('\0').update(Buffer.from(session, 'hex')).digest('hex').slice(0, 16);
  }

  /**
   * Takes a batch's numbers into account: how many of its items are repeats, and which gap lies before it.
   * @param repeatedSeq whether its message number came before: then what it declares is known
   * @returns index of the first item that is new
   */
  advance(batch: RecordBatch, repeatedSeq: boolean, dispositions: Dispositions): number {
    const first = batch.firstItem ?? 0;
    const count = batch.count ?? 0;
    dispositions.itemsIn += count;
    if (!repeatedSeq) {
      for (const range of batch.skipped ?? []) this.#skipped(range.firstItem ?? 0, range.count ?? 0, range.reason ?? '', dispositions);
    }
    for (const loss of batch.kernelLosses ?? [])
      this.#lost(`${loss.probe ?? 0}:${bounded(loss.reason ?? '')}`, loss.count ?? 0, dispositions);
    const repeats = Math.min(count, Math.max(0, this.nextItem - first));
    dispositions.repeats += repeats;
    this.reach(first, dispositions);
    this.nextItem = Math.max(this.nextItem, first + count);
    return repeats;
  }

  /** All items below `item` were sent before this message: those that did not come are a gap. */
  reach(item: number, dispositions: Dispositions): void {
    if (item <= this.nextItem) return;
    const missed = item - this.nextItem;
    dispositions.gaps += missed;
    this.losses.gapItems += missed;
    this.lostItems += missed;
    this.nextItem = item;
  }

  /**
   * Called with each message until it is known where reading begins: a keyframe or heartbeat says it. Items before a
   * batch that comes first are a gap, unless the partition itself is read from its middle.
   */
  place(body: CollectorBody, partitionComplete: boolean): void {
    const start = body.keyframe?.nextItem ?? body.heartbeat?.nextItem ?? (partitionComplete ? 0 : body.batch?.firstItem);
    if (start === undefined || start === null) return;
    this.nextItem = start;
    this.firstRead = start;
    this.placed = true;
  }

  learnEnums(enums: readonly EnumNames[]): void {
    if (enums.length > 0) this.enumsTold = {};
    for (const { name, values } of enums.slice(0, maxEnums)) {
      if (this.enums.size >= maxEnums && !this.enums.has(name ?? '')) continue;
      this.enums.set(name ?? '', new Map((values ?? []).slice(0, maxEnumValues).map((v) => [v.value ?? 0, bounded(v.name ?? '')])));
    }
  }

  /** A declared range names the reason of a gap. It adds to the gaps only where reading began behind its start; elsewhere the numbers themselves show it. */
  #skipped(first: number, count: number, reason: string, dispositions: Dispositions): void {
    addTo(dispositions.skipped, reason, count);
    addTo(this.losses.skippedItems, reason, count);
    if (first >= this.firstRead) return;
    const missed = this.firstRead - first;
    dispositions.gaps += missed;
    this.losses.gapItems += missed;
    this.lostItems += missed;
    this.firstRead = first;
  }

  /** Losses are told as totals of the session: a message that was lost or repeated changes nothing. */
  #lost(key: string, total: number, dispositions: Dispositions): void {
    const known = this.kernelLost.get(key) ?? 0;
    if (total <= known || (known === 0 && this.kernelLost.size >= maxKernelLosses)) return;
    this.kernelLost.set(key, total);
    addTo(dispositions.kernelLost, key, total - known);
    addTo(this.losses.kernelLostRecords, key.split(':', 1)[0], total - known);
    this.lostItems += total - known;
  }
}

/** An offset of the wire as exact integers. */
export function instantFrom(offset: TimeOffset | null | undefined): Instant {
  return { seconds: offset?.seconds ?? 0, nanos: offset?.nanos ?? 0 };
}

/** A session in a checkpoint. */
export interface SessionSnapshot {
  node: string;
  session: string;
  nextSeq: number;
  nextItem: number;
  firstRead: number;
  placed: boolean;
  clockOffset: Instant;
  /** Absent while nothing told it. */
  firstOffset?: Instant;
  watermarkNs: number;
  lastAppendedMs: number;
  heardMs: number;
  identity: IdentitySnapshot;
  code: KernelCodeSnapshot;
  held: HeldSnapshot;
  kernelLost: readonly (readonly [string, number])[];
  /** Absent in checkpoints of versions without it. */
  probeGaps?: readonly ProbeGap[];
  enums: readonly (readonly [string, readonly (readonly [number, string])[]])[];
}

export function snapshotOf(state: SessionState): SessionSnapshot {
  const { node, session, nextSeq, nextItem, firstRead, placed, clockOffset, watermarkNs, lastAppendedMs } = state;
  return {
    node,
    session,
    nextSeq,
    nextItem,
    firstRead,
    placed,
    clockOffset,
    watermarkNs,
    lastAppendedMs,
    heardMs: state.heardMs,
    ...(state.firstOffset === undefined ? {} : { firstOffset: state.firstOffset }),
    identity: state.identity.snapshot(),
    code: state.code.snapshot(),
    held: state.held.snapshot(),
    kernelLost: [...state.kernelLost],
    probeGaps: state.probeGaps,
    enums: [...state.enums].map(([name, values]) => [name, [...values]] as const),
  };
}

/** @param losses of the session's node */
export function sessionFrom(snapshot: SessionSnapshot, heldTotal: HeldTotal, losses = noLosses()): SessionState {
  const { node, session, nextSeq, nextItem, firstRead, placed, clockOffset, watermarkNs, lastAppendedMs } = snapshot;
  const state = new SessionState(node, session, heldTotal, losses);
  Object.assign(state, { nextSeq, nextItem, firstRead, placed, clockOffset, watermarkNs, lastAppendedMs });
  state.firstOffset = snapshot.firstOffset;
  state.heardMs = snapshot.heardMs;
  state.identity.restore(snapshot.identity);
  state.code.restore(snapshot.code);
  state.held.restore(snapshot.held);
  state.probeGaps = snapshot.probeGaps ?? [];
  for (const [key, total] of snapshot.kernelLost) state.kernelLost.set(key, total);
  for (const [name, values] of snapshot.enums) state.enums.set(name, new Map(values));
  return state;
}
