import type { AppError } from '../../core/app-error.ts';
import { messageOf } from '../../core/app-error.ts';
import type { Message } from '../../core/bus/bus.ts';
import { maxUnixSeconds, millisOf } from '../../core/time.ts';
import { type PipelineFiguresBody, RawMessage } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type Keyframe, type RecordBatch } from '../../proto/collect.ts';
import { aggregatorError } from './errors.ts';
import { instantFrom } from './session.ts';

/** A raw message, decoded and checked: everything behind this point may trust its shape. */
export type RawInput =
  | {
      readonly kind: 'tick';
      readonly offset: number;
      readonly appendedMs: number;
      /** What the gateway's process knew of the pipeline; undefined: nothing. */
      readonly pipeline: PipelineFiguresBody | undefined;
    }
  | {
      readonly kind: 'stream';
      readonly offset: number;
      readonly appendedMs: number;
      readonly node: string;
      /** 16 bytes as hex. */
      readonly session: string;
      readonly body: CollectorBody;
    };

/** A raw message that cannot be used, for the DLQ. */
export interface RefusedInput {
  readonly kind: 'refused';
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly error: AppError;
}

const minRecordBytes = 128;
const maxNodeNameBytes = 253;
/** Boot times are doubles: above 2^53 ns (104 days) they are exact to 2 ns and more. */
const maxBootNs = 2 ** 63;
/** Some 300 years: wall clocks that stand farther from 1970 are not set. */
const maxOffsetSeconds = 1e10;

/** Decodes one raw message. Never throws. */
export function decodeRaw(message: Message, partition: number): RawInput | RefusedInput {
  const { offset, value } = message;
  const refuse = (error: AppError): RefusedInput => ({ kind: 'refused', offset, bytes: value, error });
  try {
    const raw = RawMessage.decode(value);
    const appendedMs = raw.appended ? millisOf({ seconds: raw.appended.seconds ?? 0, nanos: raw.appended.nanos ?? 0 }) : 0;
    const unclocked = appendFault(appendedMs);
    if (unclocked) return refuse(aggregatorError('AGGREGATOR_BATCH_INVALID', { offset, partition, ...unclocked }));
    if (raw.tick) return { kind: 'tick', offset, appendedMs, pipeline: raw.tick.pipeline ?? undefined };
    const body = CollectorMessage.decode(raw.message);
    const fault = streamFault(raw.node, raw.session) ?? bodyFault(body);
    if (fault) return refuse(aggregatorError('AGGREGATOR_BATCH_INVALID', { offset, partition, ...fault }));
    return { kind: 'stream', offset, appendedMs, node: raw.node, session: Buffer.from(raw.session).toString('hex'), body };
  } catch (thrown) {
    return refuse(aggregatorError('AGGREGATOR_UNDECODABLE', { offset, partition, cause: messageOf(thrown) }, thrown));
  }
}

type Fault = { found: string; expected: string } | undefined;

function appendFault(appendedMs: number): Fault {
  if (appendedMs >= 0 && appendedMs <= maxUnixSeconds * 1000) return undefined;
  return { found: `append time ${appendedMs} ms`, expected: 'a time between 1970 and 2262' };
}

function streamFault(node: string, session: Uint8Array): Fault {
  if (node === '' || Buffer.byteLength(node) > maxNodeNameBytes) {
    return { found: `a node name of ${Buffer.byteLength(node)} bytes`, expected: `1 to ${maxNodeNameBytes}` };
  }
  if (session.length !== 16) return { found: `a session of ${session.length} bytes`, expected: '16' };
  return undefined;
}

function bodyFault(body: CollectorBody): Fault {
  const numbers = [body.seq, body.keyframe?.nextItem, body.heartbeat?.nextItem];
  const unsafe = numbers.find((number) => !Number.isSafeInteger(number ?? 0));
  if (unsafe !== undefined) return { found: `the number ${unsafe}`, expected: 'one below 2^53' };
  const bootTimes = [body.keyframe?.bootNs, body.heartbeat?.bootNs, ...(body.samples?.targets ?? []).map(({ bootNs }) => bootNs)];
  const unheard = bootTimes.find((bootNs) => !((bootNs ?? 0) >= 0 && (bootNs ?? 0) <= maxBootNs));
  if (unheard !== undefined) return { found: `a boot time of ${unheard} ns`, expected: 'at most 2^63 ns' };
  if (body.keyframe) return keyframeFault(body.keyframe);
  return body.batch ? batchFault(body.batch) : undefined;
}

/** Event time goes by the session's first offset: rules evaluate each of its seconds, and stores must be able to keep them. */
function keyframeFault({ firstOffset, bootNs }: Keyframe): Fault {
  const { seconds, nanos } = instantFrom(firstOffset);
  const wallS = Math.floor(((bootNs ?? 0) + nanos) / 1e9) + seconds;
  if (wallS >= 0 && wallS <= maxUnixSeconds && nanos < 1e9) return undefined;
  return { found: `a first offset of ${seconds} s and ${nanos} ns`, expected: 'a wall clock between 1970 and 2262, and less than 10^9 ns' };
}

/** The count must be one that the bytes could hold: a batch may not claim items that it does not carry. */
function batchFault(batch: RecordBatch): Fault {
  const first = batch.firstItem ?? 0;
  const count = batch.count ?? 0;
  const bytes = batch.records?.length ?? 0;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(first + count)) {
    return { found: `item number ${first}`, expected: 'one below 2^53' };
  }
  const ends = (batch.skipped ?? []).map((range) => (range.firstItem ?? 0) + (range.count ?? 0));
  const losses = (batch.kernelLosses ?? []).map((loss) => loss.count ?? 0);
  const unsafe = [...ends, ...losses].find((number) => !Number.isSafeInteger(number));
  if (unsafe !== undefined) return { found: `the number ${unsafe}`, expected: 'one below 2^53' };
  const { seconds, nanos } = instantFrom(batch.clockOffset);
  if (Math.abs(seconds) > maxOffsetSeconds || nanos >= 1e9) {
    return { found: `a clock offset of ${seconds} s and ${nanos} ns`, expected: `at most ${maxOffsetSeconds} s, and less than 10^9 ns` };
  }
  if (count > bytes / minRecordBytes) {
    return { found: `${count} items in ${bytes} bytes`, expected: `at least ${minRecordBytes} bytes an item` };
  }
  return undefined;
}
