import { errorTable } from '../../core/app-error.ts';

/** What the sinks' service itself refuses; a store's own failures are in the errors.ts of its folder. */
export const sinkError = errorTable({
  SINK_FAILED_UNEXPECTEDLY: {
    message: 'sink {sink} failed in a way it does not know: {cause}',
    retryable: false,
    remedy: 'Nothing is lost: the sink is paused and tries again every {pauseSeconds} s. Please report it with this message.',
  },
  SINK_NOT_OPEN: {
    message: 'sink {sink} does not run here',
    retryable: true,
    remedy: 'Enable it (sinks.{sink}.enabled), or ask the process that runs the sinks.',
  },
  SINK_TAKES_NO_REPLAY: {
    message: 'sink {sink} takes events only in their order: nothing can be sent to it again',
    retryable: false,
    remedy: '`jitterscope dlq show` prints what the letter holds.',
  },
  SINK_REPLAY_UNANSWERED: {
    message: 'sink {sink} did not end in time: the store may hold the event or not',
    retryable: true,
    remedy: 'Replay it again: the store is asked for it first, where it can be.',
  },
  LETTER_NOT_OF_A_SINK: {
    message: 'a message that the {stage} could not read is not replayed',
    retryable: false,
    remedy: 'What it held is counted as lost. `jitterscope dlq show` prints its bytes, `jitterscope dlq purge` takes it away.',
  },
  LETTER_NOT_AN_EVENT: {
    message: 'the letter holds no event: {reason}',
    retryable: false,
    remedy: '`jitterscope dlq show` prints its bytes, `jitterscope dlq purge` takes it away.',
  },
});
