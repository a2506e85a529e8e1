import { Writer } from 'protobufjs/minimal.js';
import { wallNow } from '../../core/time.ts';
import { PipelineFigures, type PipelineFiguresBody } from '../../proto/bus.ts';

// Field tags of RawMessage (bus.proto): number << 3 | wire type.
const appendedTag = (1 << 3) | 2;
const nodeTag = (2 << 3) | 2;
const sessionTag = (3 << 3) | 2;
const messageTag = (4 << 3) | 2;
const tickTag = (5 << 3) | 2;
const replayTag = (6 << 3) | 2;

/** A RawMessage around a collector's bytes, in two parts: what comes before them, and they themselves. */
export function encodeStreamMessage(node: string, session: Uint8Array, message: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const writer = Writer.create();
  appended(writer);
  writer.uint32(nodeTag).string(node);
  writer.uint32(sessionTag).bytes(session);
  writer.uint32(messageTag).uint32(message.length);
  return [writer.finish(), message];
}

/** A tick, stamped now. @param figures what is known of the pipeline */
export function encodeTick(number: number, figures?: PipelineFiguresBody): Uint8Array {
  const writer = Writer.create();
  appended(writer);
  writer
    .uint32(tickTag)
    .fork()
    .uint32(1 << 3)
    .uint64(number);
  if (figures !== undefined) PipelineFigures.encode(figures, writer.uint32((2 << 3) | 2).fork()).ldelim();
  writer.ldelim();
  return writer.finish();
}

/** A captured RawMessage as it is, with the replay's position behind it. */
export function encodeReplayed(captured: Uint8Array, session: Uint8Array, seq: number): readonly [Uint8Array, Uint8Array] {
  const writer = Writer.create();
  writer.uint32(replayTag).fork();
  writer.uint32((1 << 3) | 2).bytes(session);
  writer.uint32(2 << 3).uint64(seq);
  writer.ldelim();
  return [captured, writer.finish()];
}

function appended(writer: Writer): void {
  const { seconds, nanos } = wallNow();
  writer
    .uint32(appendedTag)
    .fork()
    .uint32(1 << 3)
    .int64(seconds)
    .uint32(2 << 3)
    .uint32(nanos)
    .ldelim();
}
