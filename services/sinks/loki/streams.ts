import type { EventBatchView } from '../../../schema/batch.ts';
import { Mutex } from './mutex.ts';

/** Value of the label `service_name` of every stream. */
export const serviceName = 'jitterscope';

/** Events this far behind the newest of their stream go to the backfill stream of their node, s. Loki takes 1 h by default. */
const lateS = 1800;
/** Streams of each kind whose newest time is remembered; the one that was used longest ago begins anew. */
const maxStreams = 10_000;

/** A set of labels. */
export interface Stream {
  /** As Loki writes it: names sorted, `{cluster="default", event_kind="event", ...}`. */
  readonly labels: string;
  readonly pairs: readonly (readonly [name: string, value: string])[];
  /** Whether it is one of those that take what is too late for the others. */
  readonly isBackfill: boolean;
  /** Newest event that was sent to it, Unix time in s. */
  newestS: number;
}

/** `{name="value", ...}` of labels in the order given; empty values are as good as no label. */
export function formatLabels(pairs: readonly (readonly [string, string])[]): string {
  return `{${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`;
}

/** The streams of a cluster's events: which one an event goes to. One for all partitions: they share labels. */
export class Streams {
  readonly #cluster: string;
  readonly #byType = new Map<string, Stream[]>();
  readonly #backfill = new Map<string, Stream>();
  /** By labels, of those that are pushed to: a stream that begins anew has the same. */
  readonly #turns = new Map<string, { readonly mutex: Mutex; pushes: number }>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** The stream of a row, by its labels and by how late it is. */
  take(view: EventBatchView, row: number): Stream {
    const stream = this.#of(view, row);
    const timeS = view.timeSeconds(row);
    if (timeS > stream.newestS) stream.newestS = timeS;
    if (timeS >= stream.newestS - lateS) return stream;
    const late = this.#late(stream, view.node(row));
    if (timeS > late.newestS) late.newestS = timeS;
    return late;
  }

  /** Loki said that a stream takes nothing before this time: events before it are late from now on. */
  learn(stream: Stream, oldestS: number): void {
    stream.newestS = Math.max(stream.newestS, oldestS + lateS + 1);
  }

  /**
   * One push of a stream at a time. Loki's ingester writes pushes of a stream that come at once into its WAL in any order, and its
   * replay takes those that are out of order for repeats (`stream.Push`, counter <= entryCt, 3.7.8): acked events are gone then.
   */
  async inTurn<Result>({ labels }: Stream, push: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    let turn = this.#turns.get(labels);
    if (turn === undefined) {
      turn = { mutex: new Mutex(), pushes: 0 };
      this.#turns.set(labels, turn);
    }
    turn.pushes++;
    try {
      return await turn.mutex.run(push, signal);
    } finally {
      if (--turn.pushes === 0) this.#turns.delete(labels);
    }
  }

  #of(view: EventBatchView, row: number): Stream {
    const type = view.type(row);
    let streams = this.#byType.get(type);
    if (streams === undefined) {
      streams = [];
      remember(this.#byType, type, streams);
    }
    const kind = view.kind(row);
    const severity = view.severity(row);
    // Few: three severities of one kind.
    for (const stream of streams) if (stream.pairs[1][1] === kind && stream.pairs[3][1] === severity) return stream;
    const made = this.#make([
      ['cluster', this.#cluster],
      ['event_kind', kind],
      ['service_name', serviceName],
      ['severity', severity],
      ['type', type],
    ]);
    streams.push(made);
    return made;
  }

  #late({ pairs }: Stream, node: string): Stream {
    const withNode = [['backfill', node] as const, ...pairs];
    const labels = formatLabels(withNode);
    const found = this.#backfill.get(labels) ?? this.#make(withNode, true);
    this.#backfill.delete(labels);
    remember(this.#backfill, labels, found);
    return found;
  }

  #make(pairs: Stream['pairs'], isBackfill = false): Stream {
    const filled = pairs.filter(([, value]) => value !== '');
    return { labels: formatLabels(filled), pairs, isBackfill, newestS: 0 };
  }
}

/** Puts it last, and forgets the first one when there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.set(key, value);
  for (const first of map.keys()) {
    if (map.size <= maxStreams) return;
    map.delete(first);
  }
}
