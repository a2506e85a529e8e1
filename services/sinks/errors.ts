import { errorTable } from '../../core/app-error.ts';

/** What the sinks' service itself refuses; a store's own failures are in the errors.ts of its folder. */
export const sinkError = errorTable({
  SINK_FAILED_UNEXPECTEDLY: {
    message: 'sink {sink} failed in a way it does not know: {cause}',
    retryable: false,
    remedy: 'Nothing is lost: the sink is paused and tries again every {pauseSeconds} s. Please report it with this message.',
  },
});
