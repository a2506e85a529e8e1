import type { BrokerRequest } from './broker.ts';
import type { BrokerLink } from './link.ts';
import { batchField, encodeRecordBatch } from './record-batch.ts';

/** A batch as it lies in a log. */
export interface StoredBatch {
  readonly base: number;
  /** Offset behind its last one, whatever its bytes say. */
  readonly next: number;
  readonly bytes: Buffer;
}

/** A link to a log, and how often it was asked. */
export interface LogLink extends Pick<BrokerLink, 'send' | 'close'> {
  readonly requests: number;
}

/** A batch with the base offset that a broker gives it. */
export async function storedBatch(
  base: number,
  values: readonly Uint8Array[],
  compression: 'none' | 'gzip' | 'snappy' = 'none',
): Promise<StoredBatch> {
  const bytes = await encodeRecordBatch(values, compression, 1_795_000_000_000);
  // It lies outside of what the checksum covers.
  bytes.writeBigInt64BE(BigInt(base), batchField.baseOffset);
  return { base, next: base + values.length, bytes };
}

/**
 * A link to a broker with one log, in segments: an answer comes from one of them, its first batch whole, its last one cut off.
 * @param believes whether the broker goes by what the batches say of their offsets, as it does on a disk that damaged them; else
 *   they are damaged on their way
 */
export function logLink(segments: readonly (readonly StoredBatch[])[], believes: boolean): LogLink {
  const highWatermark = segments.at(-1)?.at(-1)?.next ?? 0;
  const nextOf = ({ bytes, next }: StoredBatch): number =>
    believes ? Number(bytes.readBigInt64BE(batchField.baseOffset)) + bytes.readInt32BE(batchField.lastOffsetDelta) + 1 : next;
  const answer = (offset: number, maxBytes: number): Buffer => {
    const first = Math.max(
      0,
      segments.findLastIndex(([batch]) => batch.base <= offset),
    );
    for (const segment of segments.slice(first)) {
      const from = segment.findIndex((batch) => nextOf(batch) > offset);
      if (from === -1) continue;
      const batches = segment.slice(from).map(({ bytes }) => bytes);
      return Buffer.concat(batches).subarray(0, Math.max(maxBytes, batches[0].length));
    }
    return Buffer.alloc(0);
  };
  const link = {
    requests: 0,
    async send<Answer>(_what: string, { request, response }: BrokerRequest<Answer>): Promise<Answer> {
      link.requests++;
      const { buffer } = await request.encode();
      // From the end: rack (2), forgotten topics (4), bytes of the partition (4), log start (8), offset (8).
      const batches = answer(Number(buffer.readBigInt64BE(buffer.length - 26)), buffer.readInt32BE(buffer.length - 10));
      return response.parse(await response.decode(fetchAnswer(buffer, highWatermark, batches)));
    },
    close: () => undefined,
  };
  return link;
}

/** The answer to a request for one partition (Fetch, version 11). */
function fetchAnswer(request: Buffer, highWatermark: number, batches: Buffer): Buffer {
  // The request begins with replica, wait, least and most bytes (4 each), isolation (1), session and epoch (4 each), topics (4).
  const topic = request.subarray(29, 31 + request.readInt16BE(29));
  const head = Buffer.alloc(14);
  head.writeInt32BE(1, 10);
  const partition = Buffer.alloc(4 + 4 + 2 + 24 + 4 + 4 + 4);
  partition.writeInt32BE(1, 0);
  partition.writeBigInt64BE(BigInt(highWatermark), 10);
  partition.writeInt32BE(-1, 34);
  partition.writeInt32BE(batches.length, 42);
  return Buffer.concat([head, topic, partition, batches]);
}
