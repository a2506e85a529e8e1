import { expect, test } from 'vitest';
import { AskPace } from './ask-pace.ts';

function asked(pace: AskPace, fromMs: number, toMs: number): number {
  let count = 0;
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 10) if (pace.take(nowMs)) count++;
  return count;
}

test('who is new is asked about for 3 s, ten times a second; what stays unknown once a second', () => {
  const pace = new AskPace();
  expect(asked(pace, 0, 3_000)).toBe(30);
  expect(asked(pace, 3_000, 63_000)).toBeLessThanOrEqual(64);
  expect(asked(pace, 120_000, 123_000)).toBe(30);
});
