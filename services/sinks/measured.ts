import { AppError } from '../../core/app-error.ts';
import { countFailure, type DeliveryCounters } from './metrics.ts';
import type { Batch, Delivery, Sink } from './sink.ts';

/** Counts what goes to the store and how long it takes, and changes nothing. */
export function measured(sink: Sink, counters: DeliveryCounters): Sink {
  return {
    ...forwarded(sink),
    async deliver(batch, signal) {
      const startMs = performance.now();
      counters.requests++;
      counters.sentEvents += batch.items.length;
      counters.sentBytes += lineBytes(batch);
      try {
        const delivery = await sink.deliver(batch, signal);
        countCauses(delivery, counters);
        return delivery;
      } catch (thrown) {
        if (!signal.aborted) countFailure(counters, thrown instanceof AppError ? thrown.code : 'UNEXPECTED');
        throw thrown;
      } finally {
        counters.requestSeconds += (performance.now() - startMs) / 1000;
      }
    },
  };
}

/** All of a sink's methods but `deliver`, for wrappers: optional ones only where the sink has them. */
export function forwarded(sink: Sink): Omit<Sink, 'deliver'> {
  return {
    check: (signal) => sink.check(signal),
    ...(sink.find && { find: sink.find.bind(sink) }),
    ...(sink.mayMiss && { mayMiss: sink.mayMiss.bind(sink) }),
    ...(sink.delivered && { delivered: sink.delivered.bind(sink) }),
    ...(sink.counters && { counters: sink.counters }),
    close: () => sink.close(),
  };
}

function lineBytes({ view, items }: Batch): number {
  let bytes = 0;
  for (let item = 0; item < items.length; item++) bytes += view.lineLength(items[item]);
  return bytes;
}

function countCauses(delivery: Delivery, counters: DeliveryCounters): void {
  for (const { error } of delivery.rejected ?? []) countFailure(counters, error.code);
  if (delivery.retry) countFailure(counters, delivery.retry.cause.code);
  if (delivery.unknown) countFailure(counters, delivery.unknown.cause.code);
}
