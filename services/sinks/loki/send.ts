import type { Batch, Delivery, ItemError } from '../sink.ts';
import type { SentPush, Verdict } from './classify.ts';
import type { Stream } from './streams.ts';

/** A push to be made: events of one stream, by their position in the batch's items. */
export interface PlannedPush {
  readonly stream: Stream;
  readonly positions: readonly number[];
  /** Bytes of their lines. */
  readonly bytes: number;
}

/** Cuts the events into pushes: one stream each, at most `maxBytes` of lines; a longer line goes alone. Order holds within a stream. */
export function planPushes({ view, items }: Batch, streamOf: (position: number) => Stream | undefined, maxBytes: number): PlannedPush[] {
  const open = new Map<Stream, { stream: Stream; positions: number[]; bytes: number }>();
  const pushes: PlannedPush[] = [];
  for (let position = 0; position < items.length; position++) {
    const stream = streamOf(position);
    if (stream === undefined) continue;
    const bytes = view.lineLength(items[position]);
    let push = open.get(stream);
    if (push === undefined || push.bytes + bytes > maxBytes) {
      push = { stream, positions: [], bytes: 0 };
      open.set(stream, push);
      pushes.push(push);
    }
    push.positions.push(position);
    push.bytes += bytes;
  }
  return pushes;
}

/** The push as `classify` looks at it. */
export function sentPush({ view, items }: Batch, { stream, positions, bytes }: PlannedPush, url: string): SentPush {
  const row = (entry: number) => items[positions[entry]];
  return {
    url,
    isBackfill: stream.isBackfill,
    count: positions.length,
    bytes,
    seconds: (entry) => view.timeSeconds(row(entry)),
    nanos: (entry) => view.timeNanos(row(entry)),
    lineBytes: (entry) => view.lineLength(row(entry)) - 1,
  };
}

/**
 * The delivery of a batch whose pushes were made up to one that is not settled; those behind it were not sent. Without
 * `unsettled` all were settled.
 */
export function deliveryOf(
  rejected: readonly ItemError[],
  unsettled?: { readonly push: PlannedPush; readonly verdict: Verdict; readonly behind: readonly PlannedPush[] },
): Delivery {
  const named = rejected.length > 0 && { rejected: [...rejected].sort((a, b) => a.item - b.item) };
  if (unsettled === undefined) return { ...named };
  const { push, verdict, behind } = unsettled;
  const { again = [], unknown = [], cause, afterMs, smaller } = verdict;
  if (cause === undefined) return { ...named };
  const toItems = (entries: readonly number[]) => entries.map((entry) => push.positions[entry]);
  const retried = [...toItems(again), ...behind.flatMap(({ positions }) => positions)].sort((a, b) => a - b);
  return {
    ...named,
    retry: { items: retried, cause, ...(afterMs !== undefined && { afterMs }), ...(smaller === true && { smaller }) },
    ...(unknown.length > 0 && { unknown: { items: toItems(unknown), cause } }),
  };
}
