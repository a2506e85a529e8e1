import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../core/app-error.ts';
import type { Native } from './addon.ts';
import { nativeError } from './errors.ts';

const buildFolder = join(packageRoot(), 'build');
let loaded: Native | undefined;

/** The addon's file. `JITTERSCOPE_NATIVE` names another one to load, as the sanitizers' tests do. */
export function addonPath(): string {
  return resolve(process.env.JITTERSCOPE_NATIVE ?? join(buildFolder, 'jitterscope.node'));
}

/** The addon, loaded once. Throws NATIVE_NOT_BUILT or NATIVE_NOT_LOADABLE. */
export function loadNative(): Native {
  if (loaded !== undefined) return loaded;
  const path = addonPath();
  if (!existsSync(path)) throw nativeError('NATIVE_NOT_BUILT', { path });
  try {
    loaded = createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw nativeError('NATIVE_NOT_LOADABLE', { path, reason: messageOf(cause) }, cause);
  }
  return loaded;
}

/** The addon where it loads: for what also works without it. */
export function nativeOrUndefined(): Native | undefined {
  try {
    return loadNative();
  } catch {
    return undefined;
  }
}

/** Where the BPF object of a probe is: `tcpreset`, or `test/burst` of the tests. */
export function bpfObjectPath(name: string): string {
  return join(buildFolder, 'bpf', `${name}.bpf.o`);
}

/** The bytes of a BPF object, for openObject. Throws NATIVE_OBJECT_NOT_BUILT. */
export function readBpfObject(name: string): Buffer {
  const path = bpfObjectPath(name);
  if (!existsSync(path)) throw nativeError('NATIVE_OBJECT_NOT_BUILT', { path });
  return readFileSync(path);
}

/** This file is <root>/native/index.ts or <root>/dist/native/index.js. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
}
