import { errorTable } from '../../core/app-error.ts';

/** What the aggregator refuses, and what stops it. */
export const aggregatorError = errorTable({
  AGGREGATOR_UNDECODABLE: {
    message: 'cannot decode raw message {offset} of partition {partition}: {cause}',
    retryable: false,
    remedy: 'The message is kept in the DLQ. A collector or gateway of another version, or damaged bytes, wrote it.',
  },
  AGGREGATOR_BATCH_INVALID: {
    message: 'raw message {offset} of partition {partition}: {found}, expected {expected}',
    retryable: false,
    remedy: 'The message is kept in the DLQ and its items count as a gap. Compare the versions of collector and aggregator.',
  },
  AGGREGATOR_CHECKPOINT_FAILED: {
    message: 'cannot write the checkpoint {file}: {cause}',
    retryable: true,
    remedy: 'Work goes on and it is tried again. Until then the raw log is kept, and at its cap collectors spool. {remedy}',
  },
  AGGREGATOR_CHECKPOINT_DAMAGED: {
    message: 'checkpoint {file} is unusable: {cause}',
    retryable: false,
    remedy: 'An older checkpoint is used; without one the state starts empty and says so.',
  },
});
