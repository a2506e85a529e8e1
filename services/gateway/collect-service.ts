import type { handleBidiStreamingCall, ServiceDefinition, UntypedHandleCall } from '@grpc/grpc-js';
import { collectStreamPath, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';

/** What the server side of the stream gets and gives: requests stay bytes, so that they reach the bus untouched. */
export type CollectHandler = handleBidiStreamingCall<Buffer, GatewayBody>;

const identity = (bytes: Buffer): Buffer => bytes;

/** jitterscope.collect.v1.Collect (collect.proto), by hand: the generated one would decode and encode each batch. */
export const collectService = {
  stream: {
    path: collectStreamPath,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: (body: GatewayBody) => Buffer.from(GatewayMessage.encode(body).finish()),
    responseDeserialize: (bytes: Buffer): GatewayBody => GatewayMessage.decode(bytes),
  },
} satisfies ServiceDefinition;

/** The implementation, in the shape grpc-js wants. */
export function collectImplementation(stream: CollectHandler): Record<'stream', UntypedHandleCall> {
  return { stream: stream };
}
