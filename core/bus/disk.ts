import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { promisify } from 'node:util';

const writev = promisify(fs.writev);
const read = promisify(fs.read);

/** What the embedded log asks of the file system. Tests put failures and counters in between. */
export interface Disk {
  open(path: string, flags: number): Promise<number>;
  close(fd: number): Promise<void>;
  /** Writes buffers end to end at a position; the bytes written may be fewer. */
  writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Reads at a position; the bytes read are fewer only at the end of the file. */
  read(fd: number, buffer: Buffer, length: number, position: number): Promise<number>;
  /** Makes a file's bytes and length durable. */
  fdatasync(fd: number): Promise<void>;
  truncate(fd: number, bytes: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; one that is not there is no error. */
  remove(path: string): Promise<void>;
  /** Makes created, renamed and removed names of a folder durable. */
  syncFolder(path: string): Promise<void>;
}

/** The file system of this machine. */
export const localDisk: Disk = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  writev: async (fd, buffers, position) => (await writev(fd, buffers, position)).bytesWritten,
  read: async (fd, buffer, length, position) => {
    let done = 0;
    while (done < length) {
      const { bytesRead } = await read(fd, buffer, done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  },
  fdatasync: promisify(fs.fdatasync),
  truncate: promisify(fs.ftruncate),
  rename: fsp.rename,
  remove: (path) => fsp.rm(path, { force: true }),
  syncFolder: async (path) => {
    const folder = await fsp.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

/** For what must outlive the process but not the machine: nothing waits for the disk. */
export const unsyncedDisk: Disk = { ...localDisk, fdatasync: () => Promise.resolve(), syncFolder: () => Promise.resolve() };

/** Writes all buffers at a position, however many calls it takes. */
export async function writeFully(disk: Disk, fd: number, buffers: readonly Uint8Array[], bytes: number, position: number): Promise<void> {
  let done = await disk.writev(fd, buffers, position);
  // A short write means that the disk is full or failing: only the next call says which.
  while (done < bytes) {
    const more = await disk.writev(fd, skipBytes(buffers, done), position + done);
    if (more === 0) throw new Error('the file system accepted no more bytes');
    done += more;
  }
}

/** Replaces a small file in one step: after a crash it is the old or the new one, whole. Durable when resolved. */
export async function replaceFile(disk: Disk, folder: string, name: string, content: string): Promise<void> {
  const temporary = `${folder}/${name}.tmp`;
  const bytes = Buffer.from(content, 'utf8');
  try {
    const fd = await disk.open(temporary, fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_WRONLY);
    try {
      await writeFully(disk, fd, [bytes], bytes.byteLength, 0);
      await disk.fdatasync(fd);
    } finally {
      await disk.close(fd);
    }
    await disk.rename(temporary, `${folder}/${name}`);
  } catch (error) {
    await disk.remove(temporary).catch(() => undefined);
    throw error;
  }
  await disk.syncFolder(folder);
}

function skipBytes(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const buffer of buffers) {
    if (skip < buffer.byteLength) rest.push(skip > 0 ? buffer.subarray(skip) : buffer);
    skip = Math.max(0, skip - buffer.byteLength);
  }
  return rest;
}
