// `npm start -- [args]`: set-up, then `jitterscope run [args]` in this process, so that signals and the terminal are its own.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';
import { say } from './step.mjs';

/** The compiled command line. */
export const commandFile = join(fileURLToPath(new URL('..', import.meta.url)), 'dist', 'cli', 'main.js');

/** Sets up and becomes `jitterscope <command> <args>`. */
export async function startCommand(args) {
  const found = await setUp();
  if (!existsSync(commandFile) || !found.typescript) {
    say('jitterscope is not built; mend what is named above and start again');
    return 1;
  }
  if (!found.native) say('going on without the kernel: `jitterscope doctor` says what works');
  process.argv = [process.argv[0], commandFile, ...args];
  await import(pathToFileURL(commandFile).href);
  return undefined;
}

export async function main(args) {
  return startCommand(['run', ...args]);
}
