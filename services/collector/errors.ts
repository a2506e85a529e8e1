import { errorTable, messageOf } from '../../core/app-error.ts';
import type { NativeFailure } from '../../native/addon.ts';

/** What the collector cannot do. */
export const collectorError = errorTable({
  COLLECTOR_PROBE_FAILED: {
    message: 'probe {probe} could not be started: {cause}',
    retryable: false,
    remedy: '{hint}',
    exitCode: 69,
  },
  COLLECTOR_PROBE_FORBIDDEN: {
    message: 'probe {probe} may not be started: {cause}',
    retryable: false,
    remedy: '{hint}',
    exitCode: 77,
  },
  COLLECTOR_UNKNOWN_PROBE: {
    message: 'there is no probe {probe}{suggestion}',
    retryable: false,
    remedy: '`jitterscope probes list` shows the probes of the running agent.',
    exitCode: 2,
  },
  COLLECTOR_UNKNOWN_TARGET: {
    message: 'there is no {what} {target} on this node{suggestion}',
    retryable: false,
    remedy:
      'Name a Pod that runs here as namespace/name (--pod), or a name under /run/netns (--netns). `jitterscope doctor` says whether Pods are known.',
    exitCode: 2,
  },
  COLLECTOR_HOST_NETWORK: {
    message: 'Pod {pod} uses the network of the node (hostNetwork): probes tell network namespaces apart, and it has none of its own',
    retryable: false,
    remedy: 'Leave --pod out: the probe then looks at all of the node.',
    exitCode: 2,
  },
  COLLECTOR_TOO_MANY_ORDERS: {
    message: 'probe {probe} has {max} orders and targets already, which is the most it takes',
    retryable: false,
    remedy: 'Enable or disable all of it (without --pod): that ends the orders before it.',
    exitCode: 1,
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

/** What was thrown, and what the addon advises about it: the capability that is missing. */
export function withHint(thrown: unknown): string {
  const { hint = '' } = thrown as Partial<NativeFailure>;
  return hint === '' ? messageOf(thrown) : `${messageOf(thrown)}. ${hint}`;
}
