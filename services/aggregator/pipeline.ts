import { concatMap, filter, from, last, map, mergeMap, type Observable, of, tap } from 'rxjs';
import type { Fetch } from '../../core/bus/bus.ts';
import type { Pieces } from '../../core/pieces.ts';
import { Turn } from '../../core/turn.ts';
import type { PartitionState } from './partition-state.ts';
import type { PartitionSteps } from './partition-steps.ts';
import { decodeRaw, type RawInput, type RefusedInput } from './raw-input.ts';

/** Messages are processed for so long before other work of the process gets its turn. */
const turnMs = 10;

/** What the pipeline needs from outside, in the order of the partition. */
export interface PipelinePorts {
  /** Appends finished EventBatches to the partition's output. */
  publish(batches: readonly Uint8Array[]): Promise<void>;
  /** Appends a MetricBatch to the partition's metrics. */
  publishMetrics(batch: Uint8Array): Promise<void>;
  /** Keeps a message that cannot be used. */
  refuse(input: RefusedInput): Promise<void>;
}

/**
 * The path of one fetch of a raw partition, read from top to bottom: decode, repeats and gaps, identity and hold,
 * events, series, output. Whole messages pass the operators, records and samples never do. Emits once, when all of it
 * is handed to the ports: that is the back-pressure on the bus.
 */
export function aggregate(fetch: Fetch, steps: PartitionSteps, ports: PipelinePorts): Observable<number> {
  const { state, metrics } = steps;
  const turn = new Turn(turnMs);
  return of(fetch).pipe(
    tap(({ holes }) => noteHoles(holes, state)),
    mergeMap(({ messages }) => from(messages)),
    // After a restart the bus may begin before the checkpoint.
    filter(({ offset }) => offset >= state.rawOffset),
    map((message) => decodeRaw(message, fetch.partition)),
    concatMap(async (input) => {
      if (turn.isOver()) await turn.next();
      if (input.kind === 'refused') {
        state.dispositions.refusedMessages++;
        await ports.refuse(input);
      } else {
        const batches = await state.messages.during(() => turn.through(processInput(input, steps)));
        if (batches.length > 0) await ports.publish(batches);
        if (input.kind === 'tick')
          for await (const batch of metrics.tick(input.offset, input.appendedMs)) await ports.publishMetrics(batch);
      }
      state.rawOffset = input.offset + 1;
    }),
    last(() => true, undefined),
    map(() => (state.rawOffset = Math.max(state.rawOffset, fetch.next))),
  );
}

/**
 * One decoded message: its session drops repeats and finds gaps, identity learns, records become events or wait, rules look on.
 * Returns the event batches that it closed. However long it takes, its pieces are short.
 */
export function* processInput(input: RawInput, steps: PartitionSteps): Pieces<readonly Uint8Array[]> {
  const { output, findings } = steps;
  output.begin(input.offset, input.appendedMs);
  findings.begin();
  if (steps.rules.next !== undefined) yield* steps.state.rules.replace(steps.rules.next);
  steps.rules.next = undefined;
  if (input.kind === 'tick') yield* processTick(input, steps);
  else if (input.kind === 'stream') yield* processMessage(input, steps);
  findings.end();
  return output.finished();
}

function* processTick({ appendedMs, pipeline }: RawInput & { kind: 'tick' }, { state, enricher, self }: PartitionSteps): Pieces {
  enricher.tick(appendedMs);
  state.series.clock.tick(appendedMs);
  self.tick(pipeline);
  yield* state.rules.tick(appendedMs);
}

function* processMessage(input: RawInput & { kind: 'stream' }, { state, enricher }: PartitionSteps): Pieces {
  const { body } = input;
  const session = state.session(input.node, input.session);
  if (!session.placed) session.place(body, state.complete);
  session.lastAppendedMs = Math.max(session.lastAppendedMs, input.appendedMs);
  session.heardMs = state.series.store.clockMs;
  const seq = body.seq ?? 0;
  const repeated = seq < session.nextSeq;
  const series = state.series.input;
  if (seq > session.nextSeq) series.missed(session);
  series.heard(session);
  state.rules.heard(session, seq);
  session.nextSeq = Math.max(session.nextSeq, seq + 1);
  if (body.batch) yield* enricher.batch(session, body.batch, repeated);
  else if (repeated) return;
  else if (body.identity) enricher.learn(session, body.identity);
  else if (body.keyframe) {
    enricher.keyframe(session, body.keyframe);
    series.keyframe(session, body.keyframe);
  } else if (body.samples) yield* series.samples(session, body.samples);
  else if (body.heartbeat) yield* enricher.heartbeat(session, body.heartbeat);
}

function noteHoles(holes: Fetch['holes'], state: PartitionState): void {
  for (const hole of holes) {
    const missed = hole.to - Math.max(hole.from, state.rawOffset);
    if (missed > 0) state.unreadable[hole.reason] = (state.unreadable[hole.reason] ?? 0) + missed;
  }
}
