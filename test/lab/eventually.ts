import { setTimeout as sleep } from 'node:timers/promises';

/** Generous: two shared cores may have ten times as much to do as they can. */
const limitMs = 120_000;

/**
 * Waits until a condition holds; throws, naming it, when it does not within two minutes.
 * @param found what there is instead, for the error
 */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, found?: () => unknown): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) {
      const instead = found === undefined ? '' : `; found ${JSON.stringify(found())}`;
      throw new Error(`waited ${limitMs / 1000} s in vain until ${what}${instead}`);
    }
    await sleep(10);
  }
}
