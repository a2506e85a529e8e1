import { errorTable } from '../core/app-error.ts';
import type { Bus } from '../core/bus/bus.ts';
import { suggestion } from '../core/suggestion.ts';
import { topics } from '../proto/bus.ts';
import type { EventBatchView } from '../schema/batch.ts';
import { decodeEventBatch } from '../schema/event-batch.ts';

/** Which events to pass on; what is left out is not asked for. */
export interface EventFilter {
  /** jitterscope.type */
  readonly type?: string;
  /** Kubernetes namespace, or the network namespace's name. */
  readonly namespace?: string;
  readonly pod?: string;
  /** event.kind: `alert` are findings */
  readonly kind?: 'event' | 'alert';
}

const feedError = errorTable({
  TAP_UNKNOWN_TYPE: {
    message: 'no {what} has the type {type}{suggestion}',
    retryable: false,
    remedy: 'Types are the names of probes and the ids of rules: `jitterscope probes list`, `jitterscope rules list`.',
    exitCode: 2,
  },
});

/**
 * Throws TAP_UNKNOWN_TYPE when nothing can ever pass the filter, whatever is waited for.
 * @param rules undefined where they are another process's: any type may be one of them
 */
export function checkFilter({ type, kind }: EventFilter, probes: readonly string[], rules: readonly string[] | undefined): void {
  if (type === undefined || (rules === undefined && kind !== 'event')) return;
  const known = kind === 'event' ? probes : [...(kind === 'alert' ? [] : probes), ...(rules ?? [])];
  if (known.includes(type)) return;
  const what = kind === 'alert' ? 'finding' : kind === 'event' ? 'event' : 'event or finding';
  throw feedError('TAP_UNKNOWN_TYPE', { what, type, suggestion: suggestion(type, known) });
}

/** Events as they come into the bus, from now on, as JSON lines; of all partitions as they come. */
export async function* followEvents(bus: Bus, filter: EventFilter, signal: AbortSignal): AsyncGenerator<string> {
  const partitions = Array.from({ length: bus.partitions(topics.events) }, (_, partition) => follow(bus, partition, filter, signal));
  const waiting = new Map(partitions.map((feed) => [feed, nextOf(feed)]));
  try {
    while (waiting.size > 0) {
      const { feed, lines } = await Promise.race(waiting.values());
      if (lines === undefined) waiting.delete(feed);
      else {
        yield* lines;
        waiting.set(feed, nextOf(feed));
      }
    }
  } finally {
    // Those that wait end with the signal.
    for (const feed of waiting.keys()) feed.return(undefined).catch(() => undefined);
  }
}

type Feed = AsyncGenerator<string[]>;

async function nextOf(feed: Feed): Promise<{ readonly feed: Feed; readonly lines: string[] | undefined }> {
  const { done, value } = await feed.next();
  return { feed, lines: done === true ? undefined : value };
}

/** Lines of one partition, of a message at a time. */
async function* follow(bus: Bus, partition: number, filter: EventFilter, signal: AbortSignal): Feed {
  const { next } = await bus.offsets(topics.events, partition);
  for await (const fetch of bus.read(topics.events, partition, next, { signal })) {
    for (const message of fetch.messages) yield [...linesOf(message.value, filter)];
  }
}

/** The lines of a batch that pass the filter; none when it cannot be read. */
export function* linesOf(message: Uint8Array, filter: EventFilter): Generator<string> {
  let view: EventBatchView;
  try {
    view = decodeEventBatch(message);
  } catch {
    // The sinks put it into the DLQ; there is nothing to show.
    return;
  }
  for (let row = 0; row < view.count; row++) {
    if (filter.type !== undefined && view.type(row) !== filter.type) continue;
    if (filter.namespace !== undefined && view.namespace(row) !== filter.namespace) continue;
    if (filter.kind !== undefined && view.kind(row) !== filter.kind) continue;
    if (filter.pod !== undefined && view.pod(row) !== filter.pod) continue;
    yield Buffer.from(view.line(row)).toString().trimEnd();
  }
}
