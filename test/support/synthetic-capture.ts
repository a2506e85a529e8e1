import { createHash } from 'node:crypto';
import { CaptureWriter } from '../../core/capture.ts';
import { instantOf } from '../../core/time.ts';
import { RawMessage } from '../../proto/bus.ts';
import {
  type CollectorBody,
  CollectorMessage,
  type Keyframe,
  type NetworkNamespace,
  type Pod,
  type Translation,
} from '../../proto/collect.ts';
import type { Dispositions } from '../../services/aggregator/dispositions.ts';
import { ExpectedEvents, idPrefixOf } from './expected-events.ts';
import { Random } from './random.ts';
import { fateOf, isNeverKnown, isSuppressing, maxRecordBytes, SyntheticNode, suppressedEach } from './synthetic-node.ts';

/** What the aggregator must have counted behind the whole capture: kept by the maker of the capture, item by item. */
export type ExpectedCounts = Dispositions;

export interface SyntheticCapture {
  readonly file: string;
  readonly messages: number;
  readonly events: ExpectedEvents;
  readonly counts: ExpectedCounts;
}

const bootBaseNs = 5_000e9;
const defaultWallBaseNs = 1_795_000_000_123_456_789n;
const secondNs = 1e9;
/** Time from a record to the append of its batch. */
const transitNs = 40e6;
const gapItems = 37;
const skippedItems = 100;
const overlapItems = 10;
const heldAtEnd = 5;

interface Plan {
  readonly node: number;
  readonly fromNs: number;
  readonly toNs: number;
  readonly firstItem: number;
}

/** Two sessions of each of two nodes, in a minute of event time however many records there are; all overlap, as where a spool of an earlier life is sent beside the next one. */
const plans: readonly Plan[] = [
  { node: 1, fromNs: 0, toNs: 40e9, firstItem: 0 },
  { node: 1, fromNs: 20e9, toNs: 60e9, firstItem: 0 },
  { node: 2, fromNs: 0, toNs: 60e9, firstItem: 0 },
  { node: 2, fromNs: 10e9, toNs: 50e9, firstItem: 1000 },
];

/**
 * Writes a capture (JSCAP1) of `records` numbered records, always the same for the same number: two nodes with two
 * sessions each, interleaved; IPv4 and IPv6, both variants, tails, late records; namespaces and Pods that are known, change,
 * become known later or never; ticks, heartbeats, keyframes in parts, a step of the wall clock; a gap, a declared one,
 * repeated batches, records that no probe can read, and some that still wait for their namespace at the end.
 * @param label captures with different ones have different sessions
 * @param wallBaseNs when it begins, Unix ns
 */
export async function writeSyntheticCapture(
  file: string,
  records: number,
  label = '',
  wallBaseNs = defaultWallBaseNs,
): Promise<SyntheticCapture> {
  const writer = new CaptureWriter(file);
  const making = new Making(records, label, wallBaseNs);
  for (const message of making.messages()) await writer.write(message);
  await writer.close();
  const { events, counts } = making;
  counts.events = events.count;
  return { file, messages: writer.messages, events, counts };
}

/** The raw messages of such a capture without a file, and what is expected of them once they are read. */
export function syntheticMessages(
  records: number,
  label = '',
): { readonly messages: readonly Uint8Array[]; readonly events: ExpectedEvents } {
  const making = new Making(records, label, defaultWallBaseNs);
  const messages = [...making.messages()];
  return { messages, events: making.events };
}

/** Some seconds of one session. */
class Stream {
  readonly node: SyntheticNode;
  readonly nodeName: string;
  readonly session: Buffer;
  readonly prefix: string;
  readonly plan: Plan;
  readonly items: number;
  readonly stepNs: number;
  seq = 0;
  /** Number of the next item, and how many have been written. */
  item: number;
  written = 0;
  /** When the next batch is appended. */
  dueNs: number;
  batchItems = 0;
  lateAnnounced = false;
  moved = false;
  gapDone = false;
  skipDone = false;
  repeatDone = false;
  overlapDone = false;
  lossDone = false;
  lastBatch: { readonly body: CollectorBody; readonly count: number } | undefined;

  constructor(plan: Plan, node: SyntheticNode, name: string, items: number) {
    this.plan = plan;
    this.node = node;
    this.nodeName = node.name;
    this.session = createHash('sha256').update(`session ${name}`).digest().subarray(0, 16);
    this.prefix = idPrefixOf(node.name, this.session);
    this.items = items;
    this.stepNs = Math.floor((plan.toNs - plan.fromNs) / items);
    this.item = plan.firstItem;
    this.dueNs = plan.fromNs;
  }

  /** Boot time of the next record. */
  get bootNs(): number {
    return bootBaseNs + this.plan.fromNs + this.written * this.stepNs;
  }

  get progress(): number {
    return this.written / this.items;
  }

  get done(): boolean {
    return this.written >= this.items;
  }
}

class Making {
  readonly events = new ExpectedEvents();
  readonly counts: ExpectedCounts = {
    itemsIn: 0,
    events: 0,
    counted: 0,
    rejected: {},
    repeats: 0,
    gaps: 0,
    skipped: {},
    held: 0,
    unidentified: 0,
    foreignCgroups: 0,
    kernelLost: {},
    suppressed: 0,
    unnumbered: 0,
    findings: 0,
    forgottenSessions: 0,
    refusedMessages: 0,
  };
  readonly #random = new Random(20_261_122);
  readonly #streams: readonly Stream[];
  readonly #meanItems: number;
  readonly #wallBaseNs: bigint;
  #tick = 0;

  constructor(records: number, label: string, wallBaseNs: bigint) {
    this.#wallBaseNs = wallBaseNs;
    const nodes = new Map([1, 2].map((number) => [number, new SyntheticNode(number)]));
    const each = Math.floor(records / plans.length);
    this.#streams = plans.map((plan, index) => {
      const items = index === 0 ? records - each * (plans.length - 1) : each;
      return new Stream(plan, nodes.get(plan.node) as SyntheticNode, `${label} ${index}`, items);
    });
    this.#meanItems = Math.max(8, Math.min(500, Math.floor(records / 400)));
  }

  *messages(): Generator<Uint8Array> {
    let secondsDone = 0;
    const live = new Set(this.#streams);
    while (live.size > 0) {
      const stream = [...live].reduce((first, other) => (other.dueNs < first.dueNs ? other : first));
      for (; (secondsDone + 1) * secondNs <= stream.dueNs; secondsDone++) yield* this.#second((secondsDone + 1) * secondNs);
      if (stream.seq === 0) yield* this.#begin(stream);
      else yield* this.#batch(stream);
      if (stream.done && stream.batchItems === 0) live.delete(stream);
    }
    // Nothing more of any node: the ticks alone let go of what waits.
    for (let second = secondsDone + 1; second <= secondsDone + 6; second++) yield this.#tickAt(second * secondNs);
    yield this.#heldAtEnd((secondsDone + 6) * secondNs + transitNs);
  }

  *#second(ns: number): Generator<Uint8Array> {
    for (const stream of this.#streams) {
      if (stream.seq === 0 || stream.done) continue;
      const bootNs = bootBaseNs + ns;
      yield this.#message(stream, { heartbeat: { bootNs, clockOffset: offsetAt(ns, this.#wallBaseNs), nextItem: stream.item } }, ns);
    }
    yield this.#tickAt(ns);
  }

  *#begin(stream: Stream): Generator<Uint8Array> {
    const identity = { netns: stream.node.namespacesAtStart(), pods: stream.node.podsAtStart() };
    for (const keyframe of keyframes(stream, this.#wallBaseNs, identity)) yield this.#message(stream, { keyframe }, stream.dueNs);
    this.#plan(stream);
  }

  /** How many records the next batch has, and when it is due. */
  #plan(stream: Stream): void {
    const left = stream.items - stream.written;
    stream.batchItems = Math.min(left, this.#random.integer(1, 2 * this.#meanItems));
    stream.dueNs = stream.bootNs - bootBaseNs + stream.batchItems * stream.stepNs + transitNs;
  }

  *#batch(stream: Stream): Generator<Uint8Array> {
    const { node, dueNs } = stream;
    const skipped = this.#leaveOut(stream);
    const kernelLosses =
      stream.plan.node === 2 && stream.progress > 0.2 && !stream.lossDone ? [{ probe: 1, count: 5, reason: 'ring_full' }] : [];
    if (kernelLosses.length > 0) {
      stream.lossDone = true;
      this.counts.kernelLost['1:ring_full'] = (this.counts.kernelLost['1:ring_full'] ?? 0) + 5;
    }
    const firstItem = stream.item;
    const count = stream.batchItems;
    const records = Buffer.alloc(count * maxRecordBytes);
    let bytes = 0;
    const lateOpensNs = this.#lateAnnouncedNs(stream) - secondNs;
    const translations: Translation[] = [];
    for (let index = 0; index < count; index++) {
      const bootNs = stream.bootNs;
      if (stream.item % 8 === 3) translations.push({ index, address: node.translated(stream.item), port: 8080 });
      const phase = { lateOpen: bootNs - bootBaseNs >= lateOpensNs, moved: stream.moved };
      bytes += node.write(stream.item, bootNs, phase, records, bytes);
      this.#account(stream.prefix, stream.item);
      stream.item++;
      stream.written++;
    }
    const batch = { firstItem, count, records: records.subarray(0, bytes), skipped, kernelLosses, translations };
    const body = { batch: { ...batch, clockOffset: offsetAt(dueNs, this.#wallBaseNs) } };
    this.counts.itemsIn += count;
    yield this.#message(stream, body, dueNs);
    yield* this.#again(stream, body.batch, bytes);
    stream.lastBatch = { body: { ...body, seq: stream.seq }, count };
    yield* this.#identity(stream);
    if (stream.done) stream.batchItems = 0;
    else this.#plan(stream);
  }

  /** The late namespace is announced a second of event time after its first records. */
  #lateAnnouncedNs(stream: Stream): number {
    return stream.plan.fromNs + 0.4 * (stream.plan.toNs - stream.plan.fromNs);
  }

  *#identity(stream: Stream): Generator<Uint8Array> {
    const { node, dueNs } = stream;
    if (!stream.lateAnnounced && dueNs >= this.#lateAnnouncedNs(stream)) {
      stream.lateAnnounced = true;
      const fromBootNs = bootBaseNs + this.#lateAnnouncedNs(stream) - 2 * secondNs;
      yield this.#message(stream, { identity: { netns: node.lateNamespace(fromBootNs) } }, dueNs);
    }
    if (!stream.moved && stream.progress >= 0.5) {
      stream.moved = true;
      const [netns, pods] = [node.namespacesMoved(stream.bootNs), node.podsMoved(stream.bootNs)];
      yield this.#message(stream, { identity: { netns, pods } }, dueNs);
      // That the late namespace is gone is told by not being listed.
      const all = [...node.namespacesAtStart().slice(0, 1), ...netns, ...node.namespacesAtStart().slice(2, 3)];
      const listed = { netns: all, pods: [...node.podsAtStart().slice(0, 1), ...pods] };
      for (const keyframe of keyframes(stream, this.#wallBaseNs, listed)) yield this.#message(stream, { keyframe }, dueNs);
    }
  }

  /** One session loses a message on the way, another one's spool was full: item numbers jump. */
  #leaveOut(stream: Stream): { firstItem: number; count: number; reason: string }[] {
    const index = this.#streams.indexOf(stream);
    if (index === 2 && !stream.gapDone && stream.progress >= 0.3) {
      stream.gapDone = true;
      this.counts.gaps += gapItems;
      stream.item += gapItems;
    }
    if (index !== 0 || stream.skipDone || stream.progress < 0.5) return [];
    stream.skipDone = true;
    const skipped = [{ firstItem: stream.item, count: skippedItems, reason: 'spool_full' }];
    stream.item += skippedItems;
    this.counts.gaps += skippedItems;
    this.counts.skipped.spool_full = skippedItems;
    return skipped;
  }

  /** What a collector does whose ack was lost: the batch before comes again; or one that overlaps what came. */
  *#again(stream: Stream, batch: { records: Buffer; firstItem: number; count: number }, bytes: number): Generator<Uint8Array> {
    const index = this.#streams.indexOf(stream);
    if (index === 2 && !stream.repeatDone && stream.progress >= 0.6 && stream.lastBatch !== undefined) {
      stream.repeatDone = true;
      this.counts.itemsIn += stream.lastBatch.count;
      this.counts.repeats += stream.lastBatch.count;
      yield rawMessage(stream, stream.lastBatch.body, this.#wallBaseNs + BigInt(stream.dueNs));
    }
    if (index !== 3 || stream.overlapDone || stream.progress < 0.7 || batch.count <= overlapItems) return;
    stream.overlapDone = true;
    // The last records of the batch, and a new one behind them.
    const fresh = Buffer.alloc(maxRecordBytes);
    const phase = { lateOpen: false, moved: stream.moved };
    const freshBytes = stream.node.write(stream.item, stream.bootNs, phase, fresh, 0);
    const tail = lastRecords(batch.records.subarray(0, bytes), batch.count, overlapItems);
    const records = Buffer.concat([tail, fresh.subarray(0, freshBytes)]);
    const count = overlapItems + 1;
    this.#account(stream.prefix, stream.item);
    const body = {
      batch: { firstItem: stream.item - overlapItems, count, records, clockOffset: offsetAt(stream.dueNs, this.#wallBaseNs) },
    };
    stream.item++;
    stream.written++;
    this.counts.itemsIn += count;
    this.counts.repeats += overlapItems;
    yield this.#message(stream, body, stream.dueNs);
  }

  #account(prefix: string, item: number): void {
    const fate = fateOf(item);
    if (fate === 'event') {
      this.events.expect(prefix, item);
      if (isNeverKnown(item)) this.counts.unidentified++;
      if (isSuppressing(item)) this.counts.suppressed += suppressedEach;
    } else {
      const reason = fate === 'unknown-probe' ? 'unknown_probe' : 'unknown_variant';
      this.counts.rejected[reason] = (this.counts.rejected[reason] ?? 0) + 1;
    }
  }

  #heldAtEnd(ns: number): Uint8Array {
    const stream = this.#streams[2];
    const records = Buffer.alloc(heldAtEnd * maxRecordBytes);
    let bytes = 0;
    for (let index = 0; index < heldAtEnd; index++) bytes += stream.node.writeNeverKnown(bootBaseNs + ns, records, bytes);
    this.counts.itemsIn += heldAtEnd;
    this.counts.held += heldAtEnd;
    const batch = {
      firstItem: stream.item,
      count: heldAtEnd,
      records: records.subarray(0, bytes),
      clockOffset: offsetAt(ns, this.#wallBaseNs),
    };
    stream.item += heldAtEnd;
    return this.#message(stream, { batch }, ns);
  }

  #tickAt(ns: number): Uint8Array {
    this.#tick++;
    return RawMessage.encode({ appended: instantOf(this.#wallBaseNs + BigInt(ns)), tick: { number: this.#tick } }).finish();
  }

  #message(stream: Stream, body: CollectorBody, ns: number): Uint8Array {
    stream.seq++;
    return rawMessage(stream, { ...body, seq: stream.seq }, this.#wallBaseNs + BigInt(ns));
  }
}

function rawMessage(stream: Stream, body: CollectorBody, appendedNs: bigint): Uint8Array {
  const message = CollectorMessage.encode(body).finish();
  return RawMessage.encode({
    appended: instantOf(appendedNs),
    node: stream.nodeName,
    session: stream.session,
    message,
  }).finish();
}

/** From boot time to wall time; the wall clock is set 5 s forward in the 45th second. */
function offsetAt(ns: number, wallBaseNs: bigint): { seconds: number; nanos: number } {
  const stepNs = ns >= 45e9 ? 5_000_000_000n : 0n;
  const { seconds, nanos } = instantOf(wallBaseNs - BigInt(bootBaseNs) + stepNs);
  return { seconds, nanos };
}

function keyframes(stream: Stream, wallBaseNs: bigint, { netns, pods }: { netns: NetworkNamespace[]; pods: Pod[] }): Keyframe[] {
  const enums = [
    {
      name: 'sk_rst_reason',
      values: [
        { value: 2, name: 'NO_SOCKET' },
        { value: 11, name: 'TCP_ABORT_ON_LINGER' },
      ],
    },
  ];
  const half = Math.ceil(netns.length / 2);
  return [0, 1].map((part) => ({
    nextItem: stream.item,
    bootNs: stream.bootNs,
    firstOffset: offsetAt(0, wallBaseNs),
    part,
    parts: 2,
    identity: part === 0 ? { netns: netns.slice(0, half) } : { netns: netns.slice(half), pods },
    enums: part === 0 ? enums : [],
  }));
}

/** The last `wanted` of `count` records that lie end to end. */
function lastRecords(records: Buffer, count: number, wanted: number): Buffer {
  let at = 0;
  for (let index = 0; index < count - wanted; index++) at += records[at + 11] * 64;
  return records.subarray(at);
}
