import { expect, test } from 'vitest';
import { LogLimiter } from './log.ts';

test('one entry a key goes through in a period; the next one tells how many were held back', () => {
  const limiter = new LogLimiter(3_600_000);
  const written: [string, number][] = [];
  const log = (key: string) => limiter.once(key, (heldBack) => written.push([key, heldBack]));
  for (let i = 0; i < 5; i++) log('a');
  log('b');
  expect(written).toEqual([
    ['a', 0],
    ['b', 0],
  ]);
});

test('after the period the held back entries are told', () => {
  const limiter = new LogLimiter(0);
  const told: number[] = [];
  limiter.once('a', (heldBack) => told.push(heldBack));
  limiter.once('a', (heldBack) => told.push(heldBack));
  expect(told).toEqual([0, 0]);
});

test('any number of keys takes bounded memory and lets each through', () => {
  const limiter = new LogLimiter(3_600_000);
  let written = 0;
  for (let key = 0; key < 5000; key++) limiter.once(String(key), () => written++);
  expect(written).toBe(5000);
});
