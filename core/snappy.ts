import { compressSync } from 'snappy';
import { varintLength, writeVarint } from './varint.ts';

/** Snappy compresses each 64 KiB by itself (format description, "the compressor divides the input into blocks"). */
const blockBytes = 64 * 1024;
const copied = { copyOutputData: true };

/**
 * The bytes in snappy's raw format: the same that one call of the library gives. Block by block, because the library takes
 * memory for the worst case and leaves it to the garbage collector: at 256 KiB the kernel clears pages for longer than the compression takes.
 */
export function snappyCompress(bytes: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(varintLength(bytes.length));
  writeVarint(head, 0, bytes.length);
  const parts: Buffer[] = [head];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const block = bytes.subarray(at, at + blockBytes);
    parts.push(compressSync(block, copied).subarray(varintLength(block.length)));
  }
  return Buffer.concat(parts);
}
