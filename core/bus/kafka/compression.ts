import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { uncompress as snappyUncompress } from 'snappy';
import { snappyCompress } from '../../snappy.ts';

/** Codecs of a record batch that are spoken here, by their number in its attributes (Kafka protocol, record batch). */
export const compressionCodecs = { none: 0, gzip: 1, snappy: 2 } as const;

export type Compression = keyof typeof compressionCodecs;

/** Records of one batch, decompressed: several times the largest message. More is no batch of ours, and is not unpacked. */
export const maxRecordsBytes = 64 * 1024 * 1024;

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
/** What snappy-java writes before its blocks: SnappyCodec.MAGIC_HEADER. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const xerialHeaderBytes = 16;

/** Compresses the records of a batch; gzip on a thread of its own. */
export async function compress(compression: Exclude<Compression, 'none'>, records: Buffer): Promise<Buffer> {
  // Level 1: the others take several times the CPU for some per cent.
  return compression === 'gzip' ? gzipAsync(records, { level: 1 }) : snappyCompress(records);
}

/** The records of a batch; undefined for a codec that is not known here. Rejects for what cannot be decompressed, and for more than maxRecordsBytes. */
export async function decompress(codec: number, bytes: Buffer): Promise<Buffer | undefined> {
  if (codec === compressionCodecs.none) return bytes;
  if (codec === compressionCodecs.gzip) return gunzipAsync(bytes, { maxOutputLength: maxRecordsBytes });
  if (codec === compressionCodecs.snappy) return unsnappy(bytes);
  return undefined;
}

/** Snappy as one block, or as a row of blocks with their lengths, as snappy-java frames them. */
async function unsnappy(bytes: Buffer): Promise<Buffer> {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return unsnappyBlock(bytes, maxRecordsBytes);
  const blocks: Buffer[] = [];
  let left = maxRecordsBytes;
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new RangeError(`a snappy block ends at ${end} of ${bytes.length} bytes`);
    const block = await unsnappyBlock(bytes.subarray(at + 4, end), left);
    blocks.push(block);
    left -= block.length;
    at = end;
  }
  return Buffer.concat(blocks);
}

async function unsnappyBlock(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  const declared = declaredBytes(bytes);
  if (declared > maxBytes) throw new RangeError(`a snappy block declares ${declared} bytes; at most ${maxBytes} are unpacked`);
  return (await snappyUncompress(bytes)) as Buffer;
}

/** Length of a snappy block when unpacked: it is allocated before anything else is looked at (snappy format description, preamble). */
function declaredBytes(bytes: Buffer): number {
  let length = 0;
  for (let at = 0; at < Math.min(bytes.length, 5); at++) {
    length += (bytes[at] & 127) * 128 ** at;
    if (bytes[at] < 128) return length;
  }
  throw new RangeError('a snappy block without its length');
}
