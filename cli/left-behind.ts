import type { Bus } from '../core/bus/bus.ts';
import { topics } from '../proto/bus.ts';
import { decodeEventBatch } from '../schema/event-batch.ts';
import { aggregatorGroup } from '../services/aggregator/main.ts';
import { findOutputEnd } from '../services/aggregator/output-end.ts';
import { decodePosition } from '../services/sinks/position.ts';

/** What waits on the bus for a consumer group, in all partitions: its next start, or another of its members, goes on with it. */
export interface Waiting {
  /** `aggregator`, or the sink. */
  readonly name: string;
  readonly messages: number;
  /** For a sink: events in them. Undefined where the last message cannot be read. */
  readonly events?: number | undefined;
  /** For a sink: events that the log has deleted before it read them. It counts them as lost when it goes on. */
  readonly deletedEvents?: number;
}

/** What waits behind the groups of a process; `undefined` in the list's place: the bus did not answer in time. */
export async function leftOnBus(
  bus: Bus,
  groups: { readonly aggregator: boolean; readonly sinks: readonly string[] },
  maxMs: number,
): Promise<readonly Waiting[] | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), maxMs)));
  const found = (async () => {
    const waiting = groups.sinks.map((sink) => waitingFor(bus, sink));
    return Promise.all(groups.aggregator ? [waitingToAggregate(bus), ...waiting] : waiting);
  })();
  try {
    return await Promise.race([found, late]);
  } catch {
    // A summary is no reason to end with an error: what cannot be told is said so.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Raw messages behind the newest checkpoint. */
async function waitingToAggregate(bus: Bus): Promise<Waiting> {
  let messages = 0;
  for (let partition = 0; partition < bus.partitions(topics.raw); partition++) {
    const { earliest, next } = await bus.offsets(topics.raw, partition);
    const commit = await bus.committed(aggregatorGroup, topics.raw, partition);
    messages += next - Math.max(earliest, commit?.offset ?? 0);
  }
  return { name: aggregatorGroup, messages };
}

async function waitingFor(bus: Bus, sink: string): Promise<Waiting> {
  const total = { name: sink, messages: 0, events: 0 as number | undefined, deletedEvents: 0 };
  for (let partition = 0; partition < bus.partitions(topics.events); partition++) {
    const { earliest, next } = await bus.offsets(topics.events, partition);
    const commit = await bus.committed(`sink-${sink}`, topics.events, partition);
    const from = Math.max(earliest, commit?.offset ?? 0);
    if (from >= next) continue;
    total.messages += next - from;
    const end = (await findOutputEnd(bus, partition))?.nextEvent;
    // A group that never committed is to deliver all that there is.
    const wanted = commit === undefined ? undefined : decodePosition(commit.metadata)?.nextEvent;
    const first = wanted === undefined || from > (commit?.offset ?? 0) ? await firstEventFrom(bus, partition, from) : wanted;
    if (end === undefined || first === undefined || total.events === undefined) total.events = undefined;
    else total.events += end - Math.max(first, wanted ?? 0);
    if (first !== undefined && wanted !== undefined) total.deletedEvents += Math.max(0, first - wanted);
  }
  return total;
}

/** Running number of the first event of a message; undefined: it cannot be read. */
async function firstEventFrom(bus: Bus, partition: number, offset: number): Promise<number | undefined> {
  for await (const { messages } of bus.read(topics.events, partition, offset, { until: offset + 1, maxBytes: 1 })) {
    for (const { value } of messages) {
      try {
        return decodeEventBatch(value).firstEvent;
      } catch {
        return undefined;
      }
    }
  }
  return undefined;
}
