import { forwarded } from './measured.ts';
import type { Batch, Delivery, ItemError, Sink } from './sink.ts';

/**
 * Splits batches so that each has at most `maxBytes` of lines; a longer line goes alone. The parts go one after the
 * other. When a part is not settled, the parts behind it are not sent and are named as to be sent again: order holds.
 */
export function bounded(sink: Sink, { maxBytes }: { readonly maxBytes: number }): Sink {
  return {
    ...forwarded(sink),
    async deliver(batch, signal) {
      const rejected: ItemError[] = [];
      let from = 0;
      while (from < batch.items.length) {
        const to = endOfPart(batch, from, maxBytes);
        const delivery = await sink.deliver(partOf(batch, from, to), signal);
        for (const { item, error } of delivery.rejected ?? []) rejected.push({ item: item + from, error });
        if (delivery.retry !== undefined || delivery.unknown !== undefined)
          return unsettled(delivery, rejected, from, to, batch.items.length);
        from = to;
      }
      return rejected.length > 0 ? { rejected } : {};
    },
  };
}

function partOf(batch: Batch, from: number, to: number): Batch {
  if (from === 0 && to === batch.items.length) return batch;
  const within = (count: number): number => Math.min(Math.max(0, count - from), to - from);
  const { possiblyStored = 0, begun = possiblyStored } = batch;
  return { ...batch, items: batch.items.subarray(from, to), possiblyStored: within(possiblyStored), begun: within(begun) };
}

function endOfPart({ view, items }: Batch, from: number, maxBytes: number): number {
  let bytes = 0;
  let to = from;
  while (to < items.length) {
    bytes += view.lineLength(items[to]);
    if (bytes > maxBytes && to > from) break;
    to++;
  }
  return to;
}

function unsettled({ retry, unknown }: Delivery, rejected: readonly ItemError[], from: number, to: number, count: number): Delivery {
  const shifted = (items: readonly number[]) => items.map((item) => item + from);
  const behind = Array.from({ length: count - to }, (_, index) => to + index);
  const again = [...shifted(retry?.items ?? []), ...behind];
  const cause = retry?.cause ?? unknown?.cause;
  return {
    ...(rejected.length > 0 && { rejected }),
    ...(again.length > 0 && cause !== undefined && { retry: { ...retry, items: again, cause } }),
    ...(unknown !== undefined && { unknown: { ...unknown, items: shifted(unknown.items) } }),
  };
}
