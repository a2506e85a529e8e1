import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until a condition that reads files holds; throws, naming it, when it does not within the limit. */
export async function patiently(what: string, limitMs: number, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await sleep(250);
  }
}
