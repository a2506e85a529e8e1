import type { Bus } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { wallNow } from '../../core/time.ts';
import { MetricBatch, RawMessage, topics } from '../../proto/bus.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import type { OutputEnd } from './event-output.ts';
import type { MetricEnd } from './series/metric-publisher.ts';

/** The end of an output is looked for in so many messages, then in so many before them. */
const lookBack = 16;
/** Behind more that cannot be read there is none to be found. */
const maxLookBack = 4_096;
const maxPassedOver = 10_000;

/** The end of a partition's own output: its last readable EventBatch. Undefined when there is none. */
export function findOutputEnd(bus: Bus, partition: number): Promise<OutputEnd | undefined> {
  return lastReadable(bus, topics.events, partition, endOf);
}

/** event.id of the findings that a partition's output holds from a running number on. Read backwards: there are few behind a checkpoint. */
export async function findFindings(bus: Bus, partition: number, fromEvent: number): Promise<Set<string>> {
  const found = new Set<string>();
  const { earliest, next } = await bus.offsets(topics.events, partition);
  let first = Number.POSITIVE_INFINITY;
  for (let until = next; until > earliest && first > fromEvent; until -= lookBack) {
    const from = Math.max(earliest, until - lookBack);
    for await (const { messages } of bus.read(topics.events, partition, from, { until })) {
      for (const { value } of messages) first = Math.min(first, addFindings(value, found));
    }
  }
  return found;
}

/** Returns the running number of the first document; infinite: the message is not readable. */
function addFindings(message: Uint8Array, found: Set<string>): number {
  try {
    const view = decodeEventBatch(message);
    for (let row = 0; row < view.count; row++) if (view.kind(row) === 'alert') found.add(view.id(row));
    return view.firstEvent;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** The last readable MetricBatch of a partition. */
export function findMetricEnd(bus: Bus, partition: number): Promise<MetricEnd | undefined> {
  return lastReadable(bus, topics.metrics, partition, metricEndOf);
}

async function lastReadable<End>(
  bus: Bus,
  topic: string,
  partition: number,
  read: (message: Uint8Array) => End | undefined,
): Promise<End | undefined> {
  const { earliest, next } = await bus.offsets(topic, partition);
  const oldest = Math.max(earliest, next - maxLookBack);
  let end: End | undefined;
  for (let until = next; until > oldest && end === undefined; until -= lookBack) {
    for await (const fetch of bus.read(topic, partition, Math.max(oldest, until - lookBack), { until })) {
      for (const message of fetch.messages) end = read(message.value) ?? end;
    }
  }
  return end;
}

/**
 * A damaged raw log that has lost its end would give out offsets again that the output has origins of, and what comes
 * next would be taken for what is there. So those offsets are given out to ticks that mean nothing. To be called before
 * anybody appends.
 */
export async function passOverLostEnd(bus: Bus, partition: number, log: Log): Promise<void> {
  const ends = [await findOutputEnd(bus, partition), await findMetricEnd(bus, partition)];
  const { next } = await bus.offsets(topics.raw, partition);
  const lost = Math.max(...ends.map((end) => (end?.rawOffset ?? -1) + 1)) - next;
  if (lost <= 0) return;
  log.error(
    { code: 'AGGREGATOR_RAW_END_LOST', partition, next, lost },
    'the raw log has lost its end: the output was made of messages that are gone. Their offsets are passed over',
  );
  const tick = RawMessage.encode({ appended: wallNow(), tick: { number: 0 } }).finish();
  for (let left = lost; left > 0; left -= maxPassedOver) {
    await bus.append(
      topics.raw,
      partition,
      Array.from({ length: Math.min(left, maxPassedOver) }, () => tick),
    );
  }
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

function metricEndOf(message: Uint8Array): MetricEnd | undefined {
  try {
    const { rawOffset, ordinal } = MetricBatch.decode(message);
    return { rawOffset: rawOffset ?? 0, ordinal: ordinal ?? 0 };
  } catch {
    return undefined;
  }
}
