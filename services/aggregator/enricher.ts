import type { EventDescription, EventVariant } from '../../bpf/event.ts';
import type { Pieces } from '../../core/pieces.ts';
import { type Instant, maxUnixSeconds } from '../../core/time.ts';
import type { Heartbeat, Identity, Keyframe, RecordBatch } from '../../proto/collect.ts';
import { RecordReader } from '../../schema/record.ts';
import { addTo } from './dispositions.ts';
import { Ends } from './end-names.ts';
import { EventLineWriter, type EventPlace, maxLineBytes } from './event-line.ts';
import type { EventOutput } from './event-output.ts';
import type { Translated } from './far-end.ts';
import type { HeldRecord } from './held-records.ts';
import { holdNs } from './identity.ts';
import type { PartitionState } from './partition-state.ts';
import { probeGaps } from './probe-gaps.ts';
import { instantFrom, type SessionState } from './session.ts';
import { Translations } from './translations.ts';

export interface EnricherOptions {
  /** orchestrator.cluster.name */
  readonly cluster: string;
  /** How each probe's records become events, by probe number. */
  readonly events: ReadonlyMap<number, EventDescription>;
  /** Severity from which on a probe's records become events, by probe number; without one: all of them. Others are counted. */
  readonly minSeverity?: ReadonlyMap<number, number>;
  /** Held records of the partition may take this much. */
  readonly maxHeldBytes: number;
}

/** Records that are taken in one piece. */
const recordsPerPiece = 64;

/** Turns the records of one partition into events. */
export class Enricher {
  readonly #state: PartitionState;
  readonly #options: EnricherOptions;
  readonly #reader = new RecordReader();
  readonly #heldReader = new RecordReader();
  readonly #ends = new Ends();
  readonly #translations = new Translations();
  readonly #lines: EventLineWriter;
  readonly #output: EventOutput;
  readonly #kinds: readonly (readonly (RecordKind | undefined)[] | undefined)[];

  constructor(state: PartitionState, output: EventOutput, options: EnricherOptions) {
    this.#state = state;
    this.#output = output;
    this.#options = options;
    this.#lines = new EventLineWriter(options.cluster);
    this.#kinds = recordKinds(options);
  }

  *batch(session: SessionState, batch: RecordBatch, repeatedSeq: boolean): Pieces {
    const { dispositions, rules } = this.#state;
    const repeats = this.#counting(session, () => session.advance(batch, repeatedSeq, dispositions));
    session.clockOffset = instantFrom(batch.clockOffset);
    session.firstOffset ??= session.clockOffset;
    const reader = this.#reader;
    const first = batch.firstItem ?? 0;
    const count = batch.count ?? 0;
    reader.reset(batch.records ?? new Uint8Array(0));
    this.#translations.reset(batch.translations ?? []);
    for (let index = 0; index < count; index++) {
      if (!reader.next()) {
        if (index < repeats) index = repeats;
        addTo(dispositions.rejected, 'malformed', count - index);
        break;
      }
      if (index < repeats) continue;
      if (reader.tsNs > session.watermarkNs) {
        session.watermarkNs = reader.tsNs;
        if (session.held.dueNs <= session.watermarkNs) this.#releaseDue(session);
        if (rules.isDue(session, session.watermarkNs)) yield* rules.advance(session, session.watermarkNs);
      }
      this.#record(session, reader, first + index, this.#translations.at(index));
      if (index % recordsPerPiece === recordsPerPiece - 1) yield;
    }
    while (reader.next()) dispositions.unnumbered++;
    this.#releaseDue(session);
  }

  keyframe(session: SessionState, keyframe: Keyframe): void {
    this.#counting(session, () => session.reach(keyframe.nextItem ?? 0, this.#state.dispositions));
    session.firstOffset ??= instantFrom(keyframe.firstOffset);
    session.learnEnums(keyframe.enums ?? []);
    session.code.learn(keyframe.identity ?? {});
    if (session.identity.keyframe(keyframe, session.watermarkNs)) this.#reconsider(session);
    if ((keyframe.identity?.pods ?? []).length > 0) this.#state.rules.podsTold(session);
  }

  learn(session: SessionState, identity: Identity): void {
    session.code.learn(identity);
    if (session.identity.learn(identity, session.watermarkNs)) this.#reconsider(session);
    if ((identity.pods ?? []).length > 0) this.#state.rules.podsTold(session);
  }

  *heartbeat(session: SessionState, heartbeat: Heartbeat): Pieces {
    this.#counting(session, () => session.reach(heartbeat.nextItem ?? 0, this.#state.dispositions));
    session.watermarkNs = Math.max(session.watermarkNs, heartbeat.bootNs ?? 0);
    this.#releaseDue(session);
    const { rules } = this.#state;
    if (rules.isDue(session, session.watermarkNs)) yield* rules.advance(session, session.watermarkNs);
    const gaps = probeGaps(heartbeat, session.probeGaps);
    if (gaps === session.probeGaps) return;
    session.probeGaps = gaps;
    rules.gaps(session);
  }

  /** The partition's clock: a node whose stream stands still does not hold its records for ever. */
  tick(appendedMs: number): void {
    for (const session of this.#state.sessions()) {
      if (session.held.count === 0 || appendedMs - session.lastAppendedMs < holdNs / 1e6) continue;
      for (const held of session.held.takeAll()) this.#release(session, held);
    }
  }

  #record(session: SessionState, record: RecordReader, item: number, translated: Translated | undefined): void {
    const untilNs = this.#ends.find(session, record, translated);
    if (untilNs <= session.watermarkNs) {
      this.#emit(session, record, item, session.clockOffset);
      return;
    }
    session.held.add({ item, untilNs, clockOffset: session.clockOffset, translated, bytes: record.copy() });
    this.#state.dispositions.held++;
    while (this.#state.heldBytes > this.#options.maxHeldBytes) {
      const first = session.held.shift();
      if (first === undefined) break;
      this.#release(session, first);
    }
  }

  /** Tells the rules what a step finds to be lost. */
  #counting<Result>(session: SessionState, step: () => Result): Result {
    const before = session.lostItems;
    const result = step();
    if (session.lostItems > before) this.#state.rules.lost(session, session.lostItems - before);
    return result;
  }

  #releaseDue(session: SessionState): void {
    while (session.held.dueNs <= session.watermarkNs) this.#release(session, session.held.shift() as HeldRecord);
  }

  /** Something was told: records that waited for it go on. */
  #reconsider(session: SessionState): void {
    if (session.held.count === 0) return;
    const untilNs = (held: HeldRecord): number => this.#ends.find(session, this.#read(held), held.translated);
    for (const held of session.held.reconsider(untilNs, session.watermarkNs)) this.#release(session, held);
  }

  #release(session: SessionState, held: HeldRecord): void {
    const record = this.#read(held);
    this.#state.dispositions.held--;
    this.#ends.find(session, record, held.translated);
    this.#emit(session, record, held.item, held.clockOffset);
  }

  #read({ bytes }: HeldRecord): RecordReader {
    this.#heldReader.reset(bytes);
    this.#heldReader.next();
    return this.#heldReader;
  }

  /** Makes an event of a record whose ends were found. */
  #emit(session: SessionState, record: RecordReader, item: number, clockOffset: Instant): void {
    const { dispositions } = this.#state;
    const ends = this.#ends;
    const { foundBy, foreignCgroup } = ends.source;
    if (foundBy === 'unknown' || foundBy === 'ambiguous') dispositions.unidentified++;
    if (foreignCgroup) dispositions.foreignCgroups++;
    const variants = this.#kinds[record.probe];
    const kind = variants?.[record.variant];
    if (kind === undefined) {
      addTo(dispositions.rejected, variants === undefined ? 'unknown_probe' : 'unknown_variant', 1);
      return;
    }
    const { description, variant } = kind;
    dispositions.suppressed += description.suppressed(record);
    this.#state.rules.record(session, record, ends, item, kind.isEvent);
    if (!kind.isEvent) {
      dispositions.counted++;
      return;
    }
    dispositions.events++;
    const output = this.#output;
    if (!output.next()) return;
    ends.name(record);
    const place = placeOf(session, record, item, clockOffset);
    const room = output.reserve(maxLineBytes);
    output.add(
      this.#lines.write(room.buffer, room.at, description, variant, record, ends, place),
      place.unixSeconds,
      place.nanos,
      session.idPrefix,
      item,
      kindEvent,
      description.type,
      variant.severity,
      namespaceOf(ends),
      ends.source.pod?.name ?? '',
      session.node,
      ends.source.pod?.uid ?? '',
    );
  }
}

/** What records of one variant of a probe become. */
interface RecordKind {
  readonly description: EventDescription;
  readonly variant: EventVariant;
  /** Otherwise they are counted only. */
  readonly isEvent: boolean;
}

/** By number of the probe, then of the variant. */
function recordKinds({ events, minSeverity }: EnricherOptions): (RecordKind | undefined)[][] {
  const kinds: (RecordKind | undefined)[][] = [];
  for (const [probe, description] of events) {
    const least = minSeverity?.get(probe) ?? 0;
    const variants: (RecordKind | undefined)[] = [];
    for (const [number, variant] of description.variants) variants[number] = { description, variant, isEvent: variant.severity >= least };
    kinds[probe] = variants;
  }
  return kinds;
}

const kindEvent = 1;

/** The Pod's namespace; without a Pod the name of the network namespace. */
function namespaceOf({ source: { pod, netns } }: Ends): string {
  return pod?.namespace ?? (netns === undefined || netns.host ? '' : (netns.names[0] ?? ''));
}

/** Boot time and offset are added as integers: their sum does not fit a double. */
function placeOf(session: SessionState, record: RecordReader, item: number, offset: Instant): EventPlace {
  const nanos = record.tsNanos + offset.nanos;
  const carry = nanos >= 1e9 ? 1 : 0;
  const seconds = record.tsSeconds + offset.seconds + carry;
  return {
    node: session.node,
    idPrefix: session.idPrefix,
    item,
    unixSeconds: Math.min(Math.max(seconds, 0), maxUnixSeconds),
    nanos: nanos - carry * 1e9,
  };
}
