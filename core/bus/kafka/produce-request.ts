import type { BrokerRequest } from './broker.ts';
import { protocolFailure } from './kafkajs.ts';

const apiKey = 0;
const apiVersion = 7;
const acksOfAll = -1;

/** Where a batch went. */
export interface Produced {
  readonly baseOffset: number;
}

/** One record batch for one partition, durable on all replicas in sync when it is answered (Produce, version 7). */
export function produceRequest(topic: string, partition: number, batch: Buffer, timeoutMs: number): BrokerRequest<Produced> {
  return {
    request: { apiKey, apiVersion, apiName: 'Produce', encode: async () => encode(topic, partition, batch, timeoutMs) },
    response: { decode: async (payload) => decode(payload, topic), parse: async (produced) => produced },
  };
}

function encode(topic: string, partition: number, batch: Buffer, timeoutMs: number): { buf: Buffer; buffer: Buffer } {
  const name = Buffer.from(topic);
  const bytes = Buffer.allocUnsafe(2 + 2 + 4 + 4 + 2 + name.length + 4 + 4 + 4 + batch.length);
  let at = bytes.writeInt16BE(-1, 0);
  at = bytes.writeInt16BE(acksOfAll, at);
  at = bytes.writeInt32BE(timeoutMs, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt16BE(name.length, at);
  at += name.copy(bytes, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt32BE(partition, at);
  at = bytes.writeInt32BE(batch.length, at);
  batch.copy(bytes, at);
  return { buf: bytes, buffer: bytes };
}

/** One topic with one partition: its name, partition, error code, base offset. */
function decode(payload: Buffer, topic: string): Produced {
  const at = 4 + 2 + Buffer.byteLength(topic) + 4 + 4;
  const errorCode = payload.readInt16BE(at);
  if (errorCode !== 0) throw protocolFailure(errorCode);
  return { baseOffset: Number(payload.readBigInt64BE(at + 2)) };
}
