import { AppError } from '../../core/app-error.ts';
import type { DeadLetterBox, LetterFilter, WaitingLetter } from '../../core/dead-letter-box.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, joinEventBatches } from '../../schema/event-batch.ts';
import { sinkError } from './errors.ts';
import type { Sinks } from './main.ts';
import type { ReplayOutcome } from './replay.ts';

/** What became of one dead letter that was to be replayed. */
export interface ReplayedLetter {
  readonly id: string;
  readonly target: string;
  readonly eventId: string | undefined;
  /** Undefined: it was delivered, and waits no more. */
  readonly error: AppError | undefined;
}

/** Letters that go to one sink together. */
interface Group {
  readonly target: string;
  readonly partition: number;
  readonly letters: { readonly id: string; readonly eventId: string | undefined; readonly view: EventBatchView }[];
  bytes: number;
}

const maxLetters = 500;
const maxBytes = 1024 * 1024;

/** Sends dead letters of sinks once more, each through its sink alone. Those that are delivered wait no more; all others stay. */
export async function* replayLetters(
  box: DeadLetterBox,
  sinks: Pick<Sinks, 'replay'>,
  filter: LetterFilter,
  signal: AbortSignal,
): AsyncGenerator<ReplayedLetter> {
  /** Sinks that took nothing of a group: the rest is not sent to them. */
  const down = new Map<string, AppError>();
  let group: Group | undefined;
  for await (const letter of box.waiting(filter, signal)) {
    const { id, target, eventId, partition, payload } = letter;
    let view: EventBatchView;
    try {
      view = viewOf(letter);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown;
      yield { id, target, eventId, error: thrown };
      continue;
    }
    const fits = group?.target === target && group.partition === partition && group.letters.length < maxLetters && group.bytes < maxBytes;
    if (group !== undefined && !fits) {
      yield* send(box, sinks, group, down, signal);
      group = undefined;
    }
    group ??= { target, partition, letters: [], bytes: 0 };
    group.letters.push({ id, eventId, view });
    group.bytes += payload.length;
  }
  if (group !== undefined) yield* send(box, sinks, group, down, signal);
}

/** The event of a letter. Throws for what no sink can take. */
function viewOf({ stage, eventId, payload, reason }: WaitingLetter): EventBatchView {
  if (stage !== 'sink') throw sinkError('LETTER_NOT_OF_A_SINK', { stage });
  // A message that could not be decoded has no id; another version may decode it.
  if (eventId === undefined) throw sinkError('LETTER_NOT_AN_EVENT', { reason });
  const view = decodeEventBatch(payload.slice());
  if (view.count !== 1) throw sinkError('LETTER_NOT_AN_EVENT', { reason: `it holds ${view.count} events, expected 1` });
  return view;
}

async function* send(
  box: DeadLetterBox,
  sinks: Pick<Sinks, 'replay'>,
  { target, partition, letters }: Group,
  down: Map<string, AppError>,
  signal: AbortSignal,
): AsyncGenerator<ReplayedLetter> {
  const cause = down.get(target);
  if (cause !== undefined) {
    for (const { id, eventId } of letters) yield { id, target, eventId, error: cause };
    return;
  }
  const view = joinEventBatches(letters.map((letter) => letter.view));
  const items = Uint32Array.from({ length: view.count }, (_, row) => row);
  const outcomes: readonly ReplayOutcome[] = await sinks.replay(target, { partition, view, items }, signal);
  const [first] = outcomes;
  if (first !== undefined && (first.retryable || letters.length > 1) && outcomes.every((error) => error === first)) down.set(target, first);
  // Before it is told: what was told as delivered does not come back.
  const delivered = letters.filter((_, at) => outcomes[at] === undefined).map(({ id }) => id);
  if (delivered.length > 0) await box.settle(delivered);
  for (const [at, { id, eventId }] of letters.entries()) yield { id, target, eventId, error: outcomes[at] };
}
