import { expect, test } from 'vitest';
import { AskPace } from './ask-pace.ts';

function asked(pace: AskPace, keys: readonly number[], fromMs: number, toMs: number): number {
  let count = 0;
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 10) if (pace.due(keys, nowMs) === 0) count++;
  return count;
}

test('who is new is asked about for 3 s, ten times a second; what stays unknown once a second', () => {
  const pace = new AskPace();
  expect(asked(pace, [7], 0, 3_000)).toBe(30);
  expect(asked(pace, [7], 3_000, 63_000)).toBeLessThanOrEqual(61);
});

test('who is new is asked about at once, however many others stay unknown', () => {
  const pace = new AskPace();
  asked(pace, [1, 2, 3], 0, 60_000);
  for (let key = 10, nowMs = 60_000; key < 100; key++, nowMs += 550) {
    expect(asked(pace, [1, 2, 3, key], nowMs, nowMs + 500)).toBeGreaterThanOrEqual(4);
  }
});

test('what is remembered of those who stay unknown is bounded', () => {
  const pace = new AskPace();
  for (let key = 1; key < 10_000; key++) pace.due([key], key * 1_000);
  expect(pace.due([1], 1e9)).toBe(0);
});

test('who is new while somebody has just been asked about is told when to ask', () => {
  const pace = new AskPace();
  expect(pace.due([1], 1_000)).toBe(0);
  expect(pace.due([2], 1_030)).toBe(70);
  expect(pace.due([1], 1_030)).toBeUndefined();
  expect(pace.due([2], 1_100)).toBe(0);
});
