import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, retry, sleep } from './retry.ts';

test('backoff lies between 0 and a doubling bound that stops at the maximum', () => {
  fc.assert(
    fc.property(fc.nat({ max: 5000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, chance) => {
      const policy = { initialMs: 100, maxMs: 30_000 };
      const bound = Math.min(30_000, 100 * 2 ** Math.min(attempt, 20));
      expect(backoffMs(attempt, policy, () => chance)).toBe(chance * bound);
    }),
  );
});

test('sleep ends at once with the reason when it is aborted, before or during', async () => {
  const reason = new Error('closing');
  await expect(sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const sleeping = sleep(60_000, controller.signal);
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
});

const fast = { initialMs: 0.01, maxMs: 0.1 };

test('retry repeats what may pass and tells each failure', async () => {
  const waits: number[] = [];
  let calls = 0;
  const result = await retry(
    async () => {
      if (++calls < 5) throw new Error('later');
      return 'done';
    },
    { ...fast, signal: new AbortController().signal, retryable: () => true, failed: (_thrown, attempt) => waits.push(attempt) },
  );
  expect(result).toBe('done');
  expect(waits).toEqual([0, 1, 2, 3]);
});

test('retry throws what will not pass, and stops when aborted', async () => {
  await expect(
    retry(() => Promise.reject(new Error('never')), { ...fast, signal: new AbortController().signal, retryable: () => false }),
  ).rejects.toThrow('never');
  const controller = new AbortController();
  const endless = retry(() => Promise.reject(new Error('later')), {
    ...fast,
    signal: controller.signal,
    retryable: () => true,
    failed: (_thrown, attempt) => {
      if (attempt === 3) controller.abort(new Error('closing'));
    },
  });
  await expect(endless).rejects.toThrow('closing');
});
