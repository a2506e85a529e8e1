import { errorTable } from '../core/app-error.ts';

/** What is refused when an EventBatch is written or read. */
export const eventBatchError = errorTable({
  EVENT_BATCH_INVALID: {
    message: 'cannot decode an event batch of {bytes} bytes: {found}, expected {expected}',
    retryable: false,
    remedy: 'The message is kept in the DLQ. An aggregator of another version, or damaged bytes, wrote it.',
  },
  EVENT_BATCH_MISUSED: {
    message: 'cannot add an event to a batch: {found}, expected {expected}',
    retryable: false,
    remedy: 'This is a defect of the aggregator; please report it.',
  },
});
