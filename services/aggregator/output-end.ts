import type { Bus } from '../../core/bus/bus.ts';
import { topics } from '../../proto/bus.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import type { OutputEnd } from './enricher.ts';

/** How many messages at the end of an output are looked at when the last ones are damaged. */
const lookBack = 16;

/** The end of a partition's own output: its last readable EventBatch. Undefined when there is none. */
export async function findOutputEnd(bus: Bus, partition: number): Promise<OutputEnd | undefined> {
  const { earliest, next } = await bus.offsets(topics.events, partition);
  let end: OutputEnd | undefined;
  if (next === earliest) return undefined;
  for await (const fetch of bus.read(topics.events, partition, Math.max(earliest, next - lookBack), { until: next })) {
    for (const message of fetch.messages) {
      end = endOf(message.value) ?? end;
    }
  }
  return end;
}

function endOf(message: Uint8Array): OutputEnd | undefined {
  try {
    const view = decodeEventBatch(message);
    const last = view.count - 1;
    return last < 0 ? undefined : { rawOffset: view.rawOffset(last), ordinal: view.ordinal(last), nextEvent: view.firstEvent + view.count };
  } catch {
    // Not readable: the sinks keep it in the DLQ, and what is made again behind the batch before it they drop as repeats.
    return undefined;
  }
}
