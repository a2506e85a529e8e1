import { EventBatchWriter, type Reservation } from '../../schema/event-batch.ts';
import type { PartitionState } from './partition-state.ts';

/** The end of what a partition's output topic holds. */
export interface OutputEnd {
  /** Origin of the last event. */
  readonly rawOffset: number;
  readonly ordinal: number;
  /** Running number that the next event gets. */
  readonly nextEvent: number;
}

export interface EventOutputOptions {
  /** Size at which an EventBatch is closed. */
  readonly maxBatchBytes: number;
  /** Output up to and with this origin is in the topic already: it is made again, and not written. */
  readonly silentUntil: OutputEnd | undefined;
}

/** Findings between two events of a raw message that leave the events' ordinals as they are without them. */
const ordinalsPerEvent = 4096;
const dayMs = 86_400_000;

/**
 * The event output of one partition: everything that becomes a document goes through it, in one order, with origins
 * (raw offset, ordinal within the message) that rise. An event's ordinal does not depend on the findings before it, so that
 * a replay under other rules still knows which events the topic holds. Synchronous; the batches it closes are fetched with `finished`.
 */
export class EventOutput {
  readonly #state: PartitionState;
  readonly #maxBatchBytes: number;
  readonly #writer = new EventBatchWriter();
  #closed: Uint8Array[] = [];
  #rawOffset = 0;
  /** Day on which the raw message was appended, since 1970-01-01: of all documents of the open batch. */
  #appendedDay = 0;
  /** Events of the raw message so far. */
  #events = 0;
  /** Ordinal and running number of the document that was begun last. */
  #ordinal = 0;
  #eventNumber = 0;
  #firstEvent = 0;
  #silentUntil: OutputEnd | undefined;
  /** Raw offset of the last message that the topic holds output of; findings of it and those before, when they were looked up. */
  readonly #replayedUntil: number;
  #known: ReadonlySet<string> | undefined;

  constructor(state: PartitionState, { maxBatchBytes, silentUntil }: EventOutputOptions) {
    this.#state = state;
    this.#maxBatchBytes = maxBatchBytes;
    this.#silentUntil = silentUntil;
    this.#replayedUntil = silentUntil?.rawOffset ?? -1;
  }

  /** Rules are others than those that made what the topic holds: a replay goes by the ids of the findings there. To be called before the first message. */
  knows(findings: ReadonlySet<string>): void {
    this.#known = findings;
  }

  /** Whether findings of the raw message may have to wait until the replay is over. */
  get isReplay(): boolean {
    return this.#known !== undefined && this.#rawOffset <= this.#replayedUntil;
  }

  /** Whether one more finding would change the ordinals of the message's next events. */
  get isFull(): boolean {
    return this.#ordinal + 1 >= (this.#events + 1) * ordinalsPerEvent;
  }

  /** Documents that wait in the open batch. */
  get pending(): number {
    return this.#writer.count;
  }

  /** Starts the output of one raw message. A batch holds what was appended on one day. */
  begin(rawOffset: number, appendedMs: number): void {
    const day = Math.floor(appendedMs / dayMs);
    if (day !== this.#appendedDay) this.flush();
    this.#appendedDay = day;
    this.#rawOffset = rawOffset;
    this.#events = 0;
    this.#ordinal = 0;
  }

  /** Gives the next event its origin and number. False: the topic holds it, and it is not to be written. */
  next(): boolean {
    return this.#begin(Math.max(++this.#events * ordinalsPerEvent, this.#ordinal + 1));
  }

  /**
   * As `next`, for a finding.
   * @param id its event.id
   * @param isInTurn false: others wait before it
   * @returns `later`: the topic does not hold it, and holds what comes after it
   */
  nextFinding(id: string, isInTurn = true): 'new' | 'held' | 'later' {
    if (!this.isReplay) return this.#begin(this.#ordinal + 1) ? 'new' : 'held';
    if (this.#known?.has(id) === true) {
      this.#ordinal++;
      if (this.#silentUntil !== undefined) this.#state.nextEvent++;
      return 'held';
    }
    if (!isInTurn || this.#isSilent(this.#ordinal + 1)) return 'later';
    this.#begin(this.#ordinal + 1);
    return 'new';
  }

  #begin(ordinal: number): boolean {
    this.#ordinal = ordinal;
    if (this.#isSilent(this.#ordinal)) {
      this.#state.nextEvent++;
      return false;
    }
    if (this.#silentUntil !== undefined) this.#speak(this.#silentUntil);
    this.#eventNumber = this.#state.nextEvent++;
    return true;
  }

  /** Room for the line of the document that `next` has begun. Use it before the next call. */
  reserve(maxBytes: number): Reservation {
    return this.#writer.reserve(maxBytes);
  }

  /** Closes the document: its line, with the newline, is the first `length` bytes of what was reserved; then its columns, as in EventBatchWriter.add. */
  add(
    length: number,
    unixSeconds: number,
    nanos: number,
    idPrefix: string,
    idNumber: number,
    kind: number,
    type: string,
    severity: number,
    namespace: string,
    pod: string,
    node: string,
    podUid: string,
  ): void {
    const writer = this.#writer;
    if (writer.count === 0) this.#firstEvent = this.#eventNumber;
    writer.commit(length);
    writer.add(unixSeconds, nanos, this.#rawOffset, this.#ordinal, idPrefix, idNumber, kind, type, severity, namespace, pod, node, podUid);
    if (writer.byteLength >= this.#maxBatchBytes) this.flush();
  }

  /** Batches that were closed since the last call. */
  finished(): readonly Uint8Array[] {
    const closed = this.#closed;
    this.#closed = [];
    return closed;
  }

  /** Closes the open batch. */
  flush(): void {
    if (this.#writer.count === 0) return;
    this.#closed.push(this.#writer.finish(this.#firstEvent, this.#appendedDay));
    this.#writer.reset();
  }

  /**
   * The first document that is written after a replay goes on with the topic's own numbers, even if the state was lost.
   * A state that is further than the topic stays so: the topic has lost its end, and sinks must see the gap.
   */
  #speak(end: OutputEnd): void {
    this.#state.nextEvent = Math.max(this.#state.nextEvent, end.nextEvent);
    this.#silentUntil = undefined;
  }

  #isSilent(ordinal: number): boolean {
    const until = this.#silentUntil;
    if (until === undefined || this.#rawOffset > until.rawOffset) return false;
    return this.#rawOffset < until.rawOffset || ordinal <= until.ordinal;
  }
}
