// `npm run bench -- [name ...]`: set-up, then every bench/*.bench.ts whose name holds one of these words, each in a process
// of its own, so that none measures the leftovers of another.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';
import { filesUnder } from './setup-build.mjs';
import { say } from './step.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Command line. Resolves with the exit code: 1 when a bench failed, 2 when there is none of that name. */
export async function main(words) {
  const found = await setUp();
  if (!found.typescript) return 1;
  const benches = filesUnder(root, ['dist/bench'], /\.bench\.js$/).filter(
    (file) => words.length === 0 || words.some((word) => file.includes(word)),
  );
  if (benches.length === 0) {
    say(`no bench is named like ${words.join(' or ')}; they are the files bench/*.bench.ts`);
    return 2;
  }
  const failed = benches.filter((file) => spawnSync(process.execPath, [join(root, file)], { cwd: root, stdio: 'inherit' }).status !== 0);
  for (const file of failed) say(`${file} failed`);
  return failed.length > 0 ? 1 : 0;
}
