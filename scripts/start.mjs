// `npm start -- [args]`: set-up, then `jitterscope run [args]` in this process, so that signals and the terminal are its own.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setUp } from './setup.mjs';
import { say } from './step.mjs';

const program = join(fileURLToPath(new URL('..', import.meta.url)), 'dist', 'cli', 'main.js');

/** Sets up, with what `tier` needs of the system, and becomes `jitterscope <args>`. Resolves with an exit code when it cannot. */
export async function becomeCommand(args, tier) {
  const found = await setUp({ tier });
  if (!found.typescript || !existsSync(program)) {
    say('jitterscope is not built; mend what is named above and start again');
    return 1;
  }
  if (!found.native) say('going on without the kernel: `npx jitterscope doctor` says what works');
  process.argv = [process.argv[0], program, ...args];
  await import(pathToFileURL(program).href);
  return undefined;
}

export async function main(args) {
  return becomeCommand(['run', ...args]);
}
