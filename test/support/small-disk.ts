import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownPrefix } from '../lab/lab-owner.ts';

const mebibyte = 1024 * 1024;

/** A file system of its own, in memory, that can be full. Needs root. Unmounted with `remove`, or when the process ends. */
export class SmallDisk {
  readonly path: string;
  readonly #filler: string;
  readonly #onExit = () => this.remove();

  /** @param path an empty folder; by default one is made */
  constructor(mebibytes: number, path = mkdtempSync(join(tmpdir(), `${ownPrefix}-disk-`))) {
    this.path = path;
    this.#filler = join(this.path, 'filler');
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', this.path]);
    process.once('exit', this.#onExit);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Somebody else's file takes all but so much of what is free. */
  fill(leaveBytes: number): void {
    const fd = openSync(this.#filler, 'a');
    const block = Buffer.alloc(mebibyte);
    try {
      for (let left = this.freeBytes - leaveBytes; left > 0; left = this.freeBytes - leaveBytes) {
        writeSync(fd, block, 0, Math.min(left, block.length));
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Somebody else's file is deleted. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  remove(): void {
    process.removeListener('exit', this.#onExit);
    execFileSync('umount', ['-l', this.path]);
    rmdirSync(this.path);
  }
}
