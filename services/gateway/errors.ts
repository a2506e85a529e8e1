import { errorTable } from '../../core/app-error.ts';

/** What the gateway refuses. */
export const gatewayError = errorTable({
  GATEWAY_LISTEN: {
    message: 'cannot listen for collectors on {address}: {cause}',
    retryable: false,
    remedy: 'Another process may use the address, or the folder may not be writable. Name another one with gateway.listen.',
    exitCode: 75,
  },
  GATEWAY_CERTIFICATE_REFUSED: {
    message: 'a connection from {address} is refused for its certificate: {cause}',
    retryable: true,
    remedy: 'A collector needs collector.gateway.tls with a certificate that is valid now and issued by an authority of gateway.tls.ca.',
  },
  GATEWAY_CERTIFICATE_MISSING: {
    message: 'the stream comes without a certificate',
    retryable: true,
    remedy: 'Set cert and key of collector.gateway.tls.',
  },
  GATEWAY_CERTIFICATE_EXPIRED: {
    message: 'the certificate that this stream began with has expired',
    retryable: true,
    remedy: 'Renew the certificate of the collector: it is read again at its next connection.',
  },
  GATEWAY_NODE_REFUSED: {
    message: 'this certificate may not write as node {node}: its subject alternative names are {names}',
    retryable: true,
    remedy: 'Issue a certificate whose subject alternative names hold the name of the node, or set node.name to one that it has.',
  },
  GATEWAY_REPLAY_REFUSED: {
    message: 'this gateway serves live nodes and takes no captures, which bring a clock of their own',
    retryable: true,
    remedy: 'Start a gateway with gateway.replays: true for them, with topics of its own.',
  },
  GATEWAY_HELLO_INVALID: {
    message: 'a stream opened with {found}, expected {expected}',
    retryable: false,
    remedy: 'Collector and gateway must be of compatible versions.',
  },
  GATEWAY_MESSAGE_INVALID: {
    message: 'a message of node {node} cannot be used: {cause}',
    retryable: false,
    remedy: 'Collector and gateway must be of compatible versions. The items of the message count as a gap.',
  },
});
