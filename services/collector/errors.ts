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
  COLLECTOR_HOST_NETNS: {
    message: 'collector.hostNetns: found {path}, which is no network namespace: {cause}',
    retryable: false,
    remedy: 'Name a network namespace such as /proc/1/ns/net or /run/netns/kind, or leave the setting out.',
    exitCode: 78,
  },
  COLLECTOR_STREAM_BROKEN: {
    message: 'the stream to the gateway at {address} broke: {cause}',
    retryable: true,
    remedy: 'Nothing is lost: records go to the spool and are sent when the gateway answers again.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_UNREACHABLE: {
    message: 'no gateway answers at {address}: {cause}',
    retryable: true,
    remedy: 'Nothing is lost: records wait in the spool. Check that the gateway runs, and collector.gateway.address.',
    exitCode: 75,
  },
  COLLECTOR_STREAM_REFUSED: {
    message: 'the gateway at {address} refuses the stream: {cause}',
    retryable: true,
    remedy:
      'Nothing is lost: records wait in the spool. Name and certificate of this node have to fit: node.name and collector.gateway.tls.cert.',
    exitCode: 75,
  },
  COLLECTOR_NOT_A_GATEWAY: {
    message: 'what answers at {address} is no gateway: {cause}',
    retryable: true,
    remedy: 'Check collector.gateway.address: another gRPC server may have the port.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_WITHOUT_TLS: {
    message: 'what answers at {address} does not speak TLS: {cause}',
    retryable: true,
    remedy: 'Set gateway.tls there and check collector.gateway.address; without TLS leave out collector.gateway.tls.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_WITH_TLS: {
    message: 'what answers at {address} closes connections at once: it may speak TLS, and this collector does not',
    retryable: true,
    remedy: 'Set collector.gateway.tls: ca, cert and key.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_UNTRUSTED: {
    message: 'the gateway at {address} shows a certificate that no authority of collector.gateway.tls.ca issued: {cause}',
    retryable: true,
    remedy: 'Name the authority of the gateway’s certificate in collector.gateway.tls.ca. Somebody else may answer in its place.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_OTHER_NAME: {
    message: 'the gateway at {address} shows a certificate for another name: {cause}',
    retryable: true,
    remedy: 'Connect to a name that it has, or set collector.gateway.tls.serverName to one. Somebody else may answer in its place.',
    exitCode: 75,
  },
  COLLECTOR_GATEWAY_EXPIRED: {
    message: 'the certificate of the gateway at {address} is not valid now: {cause}',
    retryable: true,
    remedy: 'Renew gateway.tls.cert, which the gateway reads again by itself; check the clocks of both machines.',
    exitCode: 75,
  },
  COLLECTOR_CERTIFICATE_EXPIRED: {
    message: 'the certificate of this collector ({names}) has expired: {validTo}',
    retryable: true,
    remedy: 'Renew collector.gateway.tls.cert and key: they are read again at the next connection.',
    exitCode: 75,
  },
  COLLECTOR_CERTIFICATE_REFUSED: {
    message:
      'the gateway at {address} closes the connection behind the handshake ({cause}), as one does that refuses the certificate of this collector ({names}, by {issuer}, valid until {validTo})',
    retryable: true,
    remedy:
      'The log of the gateway says why (GATEWAY_CERTIFICATE_REFUSED). Its gateway.tls.ca has to name the authority of this certificate.',
    exitCode: 75,
  },
  COLLECTOR_SPOOL_UNREADABLE: {
    message: 'the spool of session {session} cannot be read: {cause}',
    retryable: true,
    remedy: 'Check the disk of the data folder. The spool is left where it is and tried again at the next start; other sessions are sent.',
  },
  COLLECTOR_BASELINES_NOT_WRITTEN: {
    message: 'baselines of counters cannot be written: {cause}',
    retryable: true,
    remedy: 'Free space in the data folder. Totals may begin anew if the collector ends before.',
  },
  COLLECTOR_SPOOL_UNUSABLE: {
    message: 'the spool {folder} cannot be opened: {cause}',
    retryable: true,
    remedy: 'Free space on the file system of the data folder, and check that it can be written. What is spooled already is kept.',
    exitCode: 75,
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
