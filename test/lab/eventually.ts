import { setTimeout as sleep } from 'node:timers/promises';

/** Generous: two shared cores may have ten times as much to do as they can. */
const limitMs = 120_000;
const pauseMs = 10;
/** What is costly to look at is looked at for a third of the time at most: the machine is there for what is waited for. */
const pauses = 2;
const longestPauseMs = 300;

/**
 * Waits until a condition holds; throws, naming it, when it does not within two minutes.
 * @param found what there is instead, for the error
 */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, found?: () => unknown): Promise<void> {
  const end = performance.now() + limitMs;
  for (let begunMs = performance.now(); !(await condition()); begunMs = performance.now()) {
    const nowMs = performance.now();
    if (nowMs > end) {
      const instead = found === undefined ? '' : `; found ${JSON.stringify(found())}`;
      throw new Error(`waited ${limitMs / 1000} s in vain until ${what}${instead}`);
    }
    await sleep(Math.min(longestPauseMs, Math.max(pauseMs, pauses * (nowMs - begunMs))));
  }
}
