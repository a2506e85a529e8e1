import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { joinSignals } from './joined-signal.ts';

test('the first that aborts aborts it, with its reason', () => {
  const [one, two] = [new AbortController(), new AbortController()];
  const { signal } = joinSignals(one.signal, undefined, two.signal);
  expect(signal.aborted).toBe(false);
  two.abort('two');
  one.abort('one');
  expect(signal.reason).toBe('two');
  expect(joinSignals(new AbortController().signal, two.signal).signal.reason).toBe('two');
});

test('nothing of it stays with what it was made of', () => {
  const [long, short] = [new AbortController(), new AbortController()];
  const held = () => [long, short].map(({ signal }) => [getEventListeners(signal, 'abort').length, dependants(signal)]);
  const released = joinSignals(long.signal, short.signal);
  expect(held()).toEqual([
    [1, 0],
    [1, 0],
  ]);
  released.release();
  const aborted = joinSignals(long.signal, short.signal);
  short.abort();
  expect(held()).toEqual([
    [0, 0],
    [0, 0],
  ]);
  long.abort();
  expect([released.signal.aborted, aborted.signal.aborted]).toEqual([false, true]);
});

/** Signals that Node.js keeps in this one. */
function dependants(signal: AbortSignal): number {
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kDependantSignals');
  const kept = key && (Reflect.get(signal, key) as { readonly size: number } | undefined);
  return kept?.size ?? 0;
}
