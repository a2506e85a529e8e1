import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { EventBatchView } from '../../../schema/batch.ts';
import { metadataOf } from './metadata.ts';
import { PushWriter } from './push-writer.ts';
import type { Stream } from './streams.ts';

/** A push as it goes over the wire. */
export interface EncodedPush {
  readonly body: Buffer;
  /** Content-Encoding, where HTTP has to undo it; snappy is part of Loki's protobuf form. */
  readonly contentEncoding?: 'gzip';
}

/** Makes pushes of events of one stream. One push at a time. */
export interface PushEncoder {
  /** A push without events: Loki answers 422 where it would take one with events. */
  readonly empty: EncodedPush;
  encode(stream: Stream, view: EventBatchView, rows: Uint32Array): Promise<EncodedPush>;
}

const fastGzip = { level: 1 };
const gzipped = promisify<Buffer, object, Buffer>(gzip);

/** Protobuf, compressed by snappy. Rejects where the package has no binary for this platform. */
export async function protobufEncoder(): Promise<PushEncoder> {
  const { snappyCompress } = await import('../../../core/snappy.ts');
  const writer = new PushWriter();
  return {
    empty: { body: snappyCompress(Buffer.alloc(0)) },
    async encode(stream, view, rows) {
      return { body: snappyCompress(writer.write(stream, view, rows)) };
    },
  };
}

/** JSON, compressed by gzip: every line has to be escaped again: four times the work (bench/loki.bench.ts). */
export function jsonEncoder(): PushEncoder {
  return {
    empty: { body: Buffer.from('{"streams":[]}') },
    async encode(stream, view, rows) {
      const labels = Object.fromEntries(stream.pairs.filter(([, value]) => value !== ''));
      const values = Array.from(rows, (row) => {
        const line = view.line(row);
        const nanos = `${view.timeSeconds(row)}${String(view.timeNanos(row)).padStart(9, '0')}`;
        const metadata = Object.fromEntries([['event_id', view.id(row)], ...metadataOf(view, row)]);
        return [nanos, Buffer.from(line.buffer, line.byteOffset, line.length - 1).toString(), metadata];
      });
      const text = JSON.stringify({ streams: [{ stream: labels, values }] });
      return { body: await gzipped(Buffer.from(text), fastGzip), contentEncoding: 'gzip' };
    },
  };
}
