import { expect, test } from 'vitest';
import { TrackedNetns } from './tracked-netns.ts';

test('a namespace that cannot be opened is not tried again for each record', () => {
  const clock = { ms: 0 };
  let opened = 0;
  const open = (cookie: number): undefined => {
    opened++;
    if (cookie === 2) throw new Error('ENOENT');
  };
  const netns = new TrackedNetns({ open, nowMs: () => clock.ms, kernelTracks: () => true });
  for (let record = 0; record < 100; record++) expect([netns.tracks(1, false), netns.tracks(2, false)]).toEqual([false, false]);
  expect(opened).toBe(2);
  expect(netns.problem).toBe('ENOENT');
  clock.ms = 600;
  netns.tracks(1, false);
  expect(opened).toBe(3);
});
