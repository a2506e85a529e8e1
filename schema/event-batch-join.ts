import type { EventBatchView, eventKinds, severities } from './batch.ts';
import { eventKinds as kindNames, severities as severityNames } from './batch.ts';
import { EventBatchWriter } from './event-batch-writer.ts';

/** Several batches of one partition, in order, as one. */
export function joinEventBatches(views: readonly EventBatchView[]): EventBatchView {
  return views.length === 1 ? views[0] : new JoinedEventBatches(views);
}

/** One row as an EventBatch of its own, with its origin and running number: what the DLQ keeps and replays. */
export function encodeSingleEvent(view: EventBatchView, row: number): Uint8Array {
  const line = view.line(row);
  const writer = new EventBatchWriter(line.length);
  writer.putLine(line);
  const id = view.id(row);
  const dash = id.lastIndexOf('-');
  writer.add(
    view.timeSeconds(row),
    view.timeNanos(row),
    view.rawOffset(row),
    view.ordinal(row),
    id.slice(0, dash),
    Number(id.slice(dash + 1)),
    kindNames.indexOf(view.kind(row)),
    view.type(row),
    severityNames.indexOf(view.severity(row)),
    view.namespace(row),
    view.pod(row),
    view.node(row),
    view.podUid(row),
  );
  return writer.finish(view.eventNumber(row), view.appendedDay(row));
}

class JoinedEventBatches implements EventBatchView {
  readonly baseRawOffset: number;
  readonly firstEvent: number;
  readonly count: number;
  readonly #views: readonly EventBatchView[];
  /** Row of the joined view at which each part starts, and the end. */
  readonly #starts: readonly number[];
  /** Part of each row. */
  readonly #part: Uint32Array;

  constructor(views: readonly EventBatchView[]) {
    const starts: number[] = [];
    let count = 0;
    for (const view of views) {
      starts.push(count);
      count += view.count;
    }
    this.#views = views;
    this.#starts = [...starts, count];
    this.#part = new Uint32Array(count);
    for (let part = 0; part < starts.length; part++) this.#part.fill(part, starts[part], this.#starts[part + 1]);
    this.count = count;
    this.baseRawOffset = views[0]?.baseRawOffset ?? 0;
    this.firstEvent = views[0]?.firstEvent ?? 0;
  }

  eventNumber(row: number): number {
    return this.#of(row).eventNumber(this.#at(row));
  }

  appendedDay(row: number): number {
    return this.#of(row).appendedDay(this.#at(row));
  }

  timeSeconds(row: number): number {
    return this.#of(row).timeSeconds(this.#at(row));
  }

  timeNanos(row: number): number {
    return this.#of(row).timeNanos(this.#at(row));
  }

  rawOffset(row: number): number {
    return this.#of(row).rawOffset(this.#at(row));
  }

  ordinal(row: number): number {
    return this.#of(row).ordinal(this.#at(row));
  }

  id(row: number): string {
    return this.#of(row).id(this.#at(row));
  }

  idPrefix(row: number): string {
    return this.#of(row).idPrefix(this.#at(row));
  }

  idNumber(row: number): number | bigint {
    return this.#of(row).idNumber(this.#at(row));
  }

  kind(row: number): (typeof eventKinds)[number] {
    return this.#of(row).kind(this.#at(row));
  }

  type(row: number): string {
    return this.#of(row).type(this.#at(row));
  }

  severity(row: number): (typeof severities)[number] {
    return this.#of(row).severity(this.#at(row));
  }

  namespace(row: number): string {
    return this.#of(row).namespace(this.#at(row));
  }

  pod(row: number): string {
    return this.#of(row).pod(this.#at(row));
  }

  podUid(row: number): string {
    return this.#of(row).podUid(this.#at(row));
  }

  node(row: number): string {
    return this.#of(row).node(this.#at(row));
  }

  lineLength(row: number): number {
    return this.#of(row).lineLength(this.#at(row));
  }

  line(row: number): Uint8Array {
    return this.#of(row).line(this.#at(row));
  }

  blocks(from: number, to: number): readonly Uint8Array[] {
    const blocks: Uint8Array[] = [];
    for (let part = from < to ? this.#part[from] : this.#views.length; part < this.#views.length && this.#starts[part] < to; part++) {
      const start = this.#starts[part];
      const view = this.#views[part];
      blocks.push(...view.blocks(Math.max(0, from - start), Math.min(view.count, to - start)));
    }
    return blocks;
  }

  #of(row: number): EventBatchView {
    return this.#views[this.#part[row]];
  }

  #at(row: number): number {
    return row - this.#starts[this.#part[row]];
  }
}
