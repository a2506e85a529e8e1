import { setTimeout as sleep } from 'node:timers/promises';

const limitMs = 30_000;

/** Waits until a condition holds; throws, naming it, when it does not within half a minute. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await sleep(10);
  }
}
