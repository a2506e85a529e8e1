import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { compress as snappyCompress, uncompress as snappyUncompress } from 'snappy';

/** Codecs of a record batch that are spoken here, by their number in its attributes (Kafka protocol, record batch). */
export const compressionCodecs = { none: 0, gzip: 1, snappy: 2 } as const;

export type Compression = keyof typeof compressionCodecs;

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
/** What snappy-java writes before its blocks: SnappyCodec.MAGIC_HEADER. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const xerialHeaderBytes = 16;

/** Compresses the records of a batch, on a thread of its own. */
export async function compress(compression: Exclude<Compression, 'none'>, records: Buffer): Promise<Buffer> {
  // Level 1: the others take several times the CPU for some per cent.
  return compression === 'gzip' ? gzipAsync(records, { level: 1 }) : snappyCompress(records);
}

/** The records of a batch; undefined for a codec that is not known here. */
export async function decompress(codec: number, bytes: Buffer): Promise<Buffer | undefined> {
  if (codec === compressionCodecs.none) return bytes;
  if (codec === compressionCodecs.gzip) return gunzipAsync(bytes);
  if (codec === compressionCodecs.snappy) return unsnappy(bytes);
  return undefined;
}

/** Snappy as one block, or as a row of blocks with their lengths, as snappy-java frames them. */
async function unsnappy(bytes: Buffer): Promise<Buffer> {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return (await snappyUncompress(bytes)) as Buffer;
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    blocks.push((await snappyUncompress(bytes.subarray(at + 4, at + 4 + length))) as Buffer);
    at += 4 + length;
  }
  return Buffer.concat(blocks);
}
