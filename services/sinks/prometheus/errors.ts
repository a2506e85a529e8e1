import { errorTable } from '../../../core/app-error.ts';

/** What the Prometheus sink refuses. */
export const prometheusError = errorTable({
  METRIC_BATCH_INVALID: {
    message: 'a message of {bytes} bytes is no batch of metrics: {reason}',
    retryable: false,
    remedy: 'The next keyframe tells all series again. Look at who else writes to the topic of metrics.',
  },
});
