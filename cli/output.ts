import type { Writable } from 'node:stream';
import { errorTable } from '../core/app-error.ts';

/** Failures of standard output. */
export const outputError = errorTable({
  OUTPUT_FULL: {
    message: 'standard output takes no more: {cause}',
    retryable: false,
    remedy: 'Free space on the file system that it goes to. A run goes on without it: its events are in the stores.',
    exitCode: 75,
  },
});

/** Writes all of the text. Resolves when the stream takes more, or when the signal aborts: a slow reader holds up the writer. */
export async function writeAll(out: Writable, text: string, signal?: AbortSignal): Promise<void> {
  if (!out.write(text)) await roomIn(out, signal);
}

/** Resolves when nothing is left of what was written before; without it, an exit of the process discards what a pipe has not taken. */
export function flushed(out: Writable, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (out.destroyed || signal?.aborted === true) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
    out.write('', () => resolve());
  });
}

function roomIn(out: Writable, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) out.removeListener(event, done);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    if (!out.writableNeedDrain || signal?.aborted === true) {
      resolve();
      return;
    }
    for (const event of ['drain', 'close', 'error']) out.once(event, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
