import { closeSync, openSync, readdirSync, readFileSync, readSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { FrameHeader, HEADER_BYTES } from '../../core/bus/frame.ts';

/** Where a message of the embedded log lies on the disk. */
export interface StoredMessage {
  readonly offset: number;
  readonly path: string;
  /** Position of its header in the file. */
  readonly position: number;
  /** Bytes behind the header. */
  readonly length: number;
}

/** The messages of a partition's folder, in order; its segments must be whole. */
export function storedMessages(folder: string): StoredMessage[] {
  const header = new FrameHeader();
  const found: StoredMessage[] = [];
  for (const name of readdirSync(folder)
    .filter((file) => file.endsWith('.log'))
    .sort()) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    for (let position = 0; position < bytes.length; position += HEADER_BYTES + header.length) {
      if (!header.read(bytes, position)) throw new Error(`${path} has no whole frame at ${position}`);
      if (!header.groupEnd) found.push({ offset: header.offset, path, position, length: header.length });
    }
  }
  return found;
}

/** Folder of partition 0 of a topic. */
export function partitionFolder(dataDir: string, topic: string): string {
  return join(dataDir, 'bus', topic, '0');
}

/** Turns one bit of a file. */
export function flipBit(path: string, position: number, bit = 0): void {
  const fd = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, position);
    byte[0] ^= 1 << bit;
    writeSync(fd, byte, 0, 1, position);
  } finally {
    closeSync(fd);
  }
}

/** Turns a bit in the middle of a message. */
export function damagePayload({ path, position, length }: StoredMessage): void {
  flipBit(path, position + HEADER_BYTES + Math.floor(length / 2), 3);
}

/** Turns a bit in a message's header. */
export function damageHeader({ path, position }: StoredMessage): void {
  flipBit(path, position + 9, 5);
}

/** Cuts a file in the middle of a message. */
export function cutWithin({ path, position, length }: StoredMessage): void {
  truncateSync(path, position + HEADER_BYTES + Math.floor(length / 2));
}
