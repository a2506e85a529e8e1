// Running parts of CI side by side. A part is a command whose output ends with `N passed, N failed, N skipped`, or says nothing of tests.
import { spawn } from 'node:child_process';
import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seconds } from './step.mjs';

const summary = /^(\d+) passed, (\d+) failed, (\d+) skipped$/gm;

/**
 * `{ passed, failed, skipped }` as an output sums them up. `status`: the exit code; another than 0 is a failure whatever the output
 * says. `isTests`: so is an output that says nothing.
 */
export function countsIn(output, status, isTests) {
  const found = [...output.matchAll(summary)].at(-1);
  const [passed, failed, skipped] = (found?.slice(1) ?? [0, 0, 0]).map(Number);
  const isFailure = status !== 0 || (isTests && found === undefined);
  return { passed, failed: failed === 0 && isFailure ? 1 : failed, skipped };
}

/** Resolves when a file is written to stdout. */
function show(file) {
  return new Promise((resolve, reject) => {
    createReadStream(file).on('error', reject).on('close', resolve).pipe(process.stdout, { end: false });
  });
}

/** Streams of parts: those of one run one after the other. */
export class CiParts {
  /** What became of the parts, by their titles: `{ passed, failed, skipped, ms }`. One that has not ended has failed. */
  results = new Map();
  #folder = mkdtempSync(join(tmpdir(), 'jitterscope-ci-'));
  #shown = Promise.resolve();
  #interrupted = false;

  /** No part begins any more. */
  interrupt() {
    this.#interrupted = true;
  }

  /**
   * Runs parts: `{ title, command: [program, ...args] }`, and where needed `env`, `nice` (0 to 19), `after`, promises of
   * what must have ended before, and `isTests`, whose output must sum them up. The output of a part is shown whole when it ends. Resolves when all have ended, whatever became of them.
   */
  async stream(parts) {
    for (const part of parts) {
      await Promise.all(part.after ?? []);
      if (this.#interrupted) return;
      await this.#run(part);
    }
  }

  /** Removes what it keeps. */
  close() {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run({ title, command, env = {}, nice = 0, isTests = false }) {
    const began = Date.now();
    this.results.set(title, { passed: 0, failed: 1, skipped: 0, ms: 0 });
    this.#inTurn(() => process.stdout.write(`== ${title}: begins\n`));
    const file = join(this.#folder, `${this.results.size}.log`);
    const output = openSync(file, 'a');
    // Not in a session of its own: Linux shares out time among sessions first, and only then by priority.
    const child = spawn('nice', ['-n', String(nice), ...command], { stdio: ['ignore', output, output], env: { ...process.env, ...env } });
    closeSync(output);
    const status = await new Promise((resolve) => child.once('error', resolve).once('close', resolve));
    const ms = Date.now() - began;
    this.results.set(title, { ...countsIn(readFileSync(file, 'utf8'), status, isTests), ms });
    await this.#inTurn(async () => {
      process.stdout.write(`\n== ${title}\n`);
      await show(file);
      process.stdout.write(`== ${title}: ${seconds(ms)}${status === 0 ? '' : `, ended with ${status}`}\n\n`);
      rmSync(file);
    });
  }

  /** What writes to stdout, one after the other. */
  #inTurn(write) {
    this.#shown = this.#shown.then(write);
    return this.#shown;
  }
}
