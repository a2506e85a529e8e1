import { errorTable } from '../../core/app-error.ts';

/** What the gateway refuses. */
export const gatewayError = errorTable({
  GATEWAY_LISTEN: {
    message: 'cannot listen for collectors on {address}: {cause}',
    retryable: false,
    remedy: 'Another process may use the address, or the folder may not be writable. Name another one with gateway.listen.',
    exitCode: 75,
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
