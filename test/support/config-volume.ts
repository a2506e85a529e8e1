import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A folder that changes as kubelet changes the volume of a ConfigMap (pkg/volume/util/atomic_writer.go): the files are
 * written to a new folder, the link ..data is swapped to it by rename, the old folder is deleted. Names in the volume are
 * links through ..data.
 */
export class ConfigVolume {
  readonly file: string;
  readonly #dir: string;
  #published = 0;

  constructor(dir: string, text: string) {
    this.#dir = dir;
    this.file = join(dir, 'config.yaml');
    mkdirSync(dir, { recursive: true });
    this.publish(text);
    symlinkSync('..data/config.yaml', this.file);
  }

  publish(text: string): void {
    const link = join(this.#dir, '..data');
    const folder = `..${++this.#published}`;
    const before = this.#published === 1 ? undefined : readlinkSync(link);
    mkdirSync(join(this.#dir, folder));
    writeFileSync(join(this.#dir, folder, 'config.yaml'), text);
    symlinkSync(folder, join(this.#dir, '..data_tmp'));
    renameSync(join(this.#dir, '..data_tmp'), link);
    if (before !== undefined) rmSync(join(this.#dir, before), { recursive: true });
  }
}
