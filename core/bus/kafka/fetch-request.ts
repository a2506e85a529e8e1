import type { BrokerRequest } from './broker.ts';
import { protocolFailure } from './kafkajs.ts';

const apiKey = 1;
const apiVersion = 11;

/** What to read. */
export interface FetchRange {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The first batch comes whole, whatever its size. */
  readonly maxBytes: number;
  /** How long the broker may wait for something to come. */
  readonly maxWaitMs: number;
}

/** What a broker sent. */
export interface Fetched {
  /** Offset that the next message will get, among those that all replicas have. */
  readonly highWatermark: number;
  /** Record batches: the first one may begin before the offset, the last one may be cut off. */
  readonly batches: Buffer;
}

/** Reads one partition (Fetch, version 11, without a fetch session). */
export function fetchRequest(range: FetchRange): BrokerRequest<Fetched> {
  return {
    request: { apiKey, apiVersion, apiName: 'Fetch', encode: async () => encode(range) },
    response: { decode: async (payload) => decode(payload, range.topic), parse: async (fetched) => fetched },
    requestTimeout: range.maxWaitMs + 10_000,
  };
}

function encode({ topic, partition, offset, maxBytes, maxWaitMs }: FetchRange): { buf: Buffer; buffer: Buffer } {
  const name = Buffer.from(topic);
  const bytes = Buffer.alloc(25 + 4 + 2 + name.length + 4 + 28 + 4 + 2);
  let at = bytes.writeInt32BE(-1, 0);
  at = bytes.writeInt32BE(maxWaitMs, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt32BE(maxBytes, at);
  at = bytes.writeInt8(0, at);
  at = bytes.writeInt32BE(0, at);
  at = bytes.writeInt32BE(-1, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt16BE(name.length, at);
  at += name.copy(bytes, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt32BE(partition, at);
  at = bytes.writeInt32BE(-1, at);
  at = bytes.writeBigInt64BE(BigInt(offset), at);
  at = bytes.writeBigInt64BE(-1n, at);
  at = bytes.writeInt32BE(maxBytes, at);
  // No forgotten topics, no rack.
  at = bytes.writeInt32BE(0, at);
  bytes.writeInt16BE(0, at);
  return { buf: bytes, buffer: bytes };
}

function decode(payload: Buffer, topic: string): Fetched {
  // Throttle time (4), error code (2), session (4), number of topics (4).
  const failed = payload.readInt16BE(4);
  if (failed !== 0) throw protocolFailure(failed);
  let at = 14 + 2 + Buffer.byteLength(topic) + 4 + 4;
  const errorCode = payload.readInt16BE(at);
  if (errorCode !== 0) throw protocolFailure(errorCode);
  const highWatermark = Number(payload.readBigInt64BE(at + 2));
  // Error code (2), high watermark, last stable offset, log start offset (8 each), aborted transactions (16 each), replica to read from (4).
  at += 26;
  at += 4 + 16 * Math.max(0, payload.readInt32BE(at)) + 4;
  const length = Math.max(0, payload.readInt32BE(at));
  return { highWatermark, batches: payload.subarray(at + 4, at + 4 + length) };
}
