import { errorTable } from '../../core/app-error.ts';

/** What the collector cannot do. */
export const collectorError = errorTable({
  COLLECTOR_PROBE_FAILED: {
    message: 'probe {probe} could not be started: {cause}',
    retryable: false,
    remedy: '{hint}',
    exitCode: 69,
  },
  COLLECTOR_STREAM_BROKEN: {
    message: 'the stream to the gateway at {address} broke: {cause}',
    retryable: true,
    remedy: 'Nothing is lost: records go to the spool and are sent when the gateway answers again.',
  },
  COLLECTOR_SPOOL_UNREADABLE: {
    message: 'the spool of session {session} cannot be read: {cause}',
    retryable: true,
    remedy: 'Check the disk of the data folder. The spool is left where it is and tried again at the next start; other sessions are sent.',
  },
  COLLECTOR_SPOOL_REFUSED: {
    message: 'the spool takes no batch: {cause}',
    retryable: true,
    remedy: 'The items are counted as skipped. Free space in the data folder.',
  },
});
