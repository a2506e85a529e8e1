import { expect, test } from 'vitest';
import type { Keyframe } from '../../proto/collect.ts';
import { wordsOf } from './address-index.ts';
import { type IdentitySnapshot, NodeIdentity } from './identity.ts';
import { netnsOf, podOf, v4 } from './test-stream.ts';

const second = 1e9;
const address = v4(10, 0, 0, 1);
const held = [{ address, fromBootNs: 0, toBootNs: 0 }];

/** Two namespaces with Pods, known since the first second. */
function known(): NodeIdentity {
  const identity = new NodeIdentity();
  const netns = [netnsOf(10, { fromBootNs: second, addressIntervals: held }), netnsOf(11, { fromBootNs: second })];
  identity.learn({ netns, pods: [podOf('web-0', 10), podOf('db-0', 11)] }, 0);
  return identity;
}

function keyframe(part: number, parts: number, cookies: readonly number[], at = 50): Keyframe {
  const netns = cookies.map((cookie) => netnsOf(cookie, { fromBootNs: second }));
  return {
    bootNs: at * second,
    part,
    parts,
    identity: { netns, pods: cookies.map((cookie) => podOf(cookie === 10 ? 'web-0' : 'db-0', cookie)) },
  };
}

function ends({ netns, pods }: IdentitySnapshot): number[] {
  return [...netns, ...pods].map(({ toBootNs }) => toBootNs / second);
}

test('what a keyframe does not list has ended by then: namespace, Pod and address', () => {
  const identity = known();
  identity.keyframe(keyframe(0, 1, [11]), 0);
  expect(ends(identity.snapshot())).toEqual([50, 0, 50, 0]);
  expect(identity.holder(...wordsOf(address), 49 * second).netnsId).toBe(0);
  expect(identity.holder(...wordsOf(address), 50 * second).netnsId).toBe(-1);
  // By its cookie it is found still: late records are its own.
  expect(identity.podOf(identity.local(10, 0, 60 * second, false), 60 * second)?.name).toBe('web-0');
});

test('of one in parts only all parts together end something', () => {
  const identity = known();
  identity.keyframe(keyframe(0, 2, [10]), 0);
  expect(ends(identity.snapshot())).toEqual([0, 0, 0, 0]);
  identity.keyframe(keyframe(1, 2, [11]), 0);
  expect(ends(identity.snapshot())).toEqual([0, 0, 0, 0]);
  identity.keyframe(keyframe(0, 2, [10]), 0);
  identity.keyframe(keyframe(1, 2, []), 0);
  expect(ends(identity.snapshot())).toEqual([0, 50, 0, 50]);
});

test.each([
  ['a part is missing', [keyframe(0, 3, [10]), keyframe(2, 3, [])]],
  ['the first part is missing', [keyframe(1, 2, [])]],
  ['another one begins in between', [keyframe(0, 2, [10]), keyframe(1, 2, [], 51)]],
  ['an earlier collector made it', [{ ...keyframe(0, 1, []), bootNs: 0 }]],
])('where %s nothing ends', (_, parts) => {
  const identity = known();
  for (const part of parts) identity.keyframe(part, 0);
  expect(ends(identity.snapshot())).toEqual([0, 0, 0, 0]);
});

test('a whole one behind a broken one counts', () => {
  const identity = known();
  for (const part of [keyframe(0, 2, []), keyframe(0, 2, []), keyframe(1, 2, [10])]) identity.keyframe(part, 0);
  expect(ends(identity.snapshot())).toEqual([0, 50, 0, 50]);
});

test('what was found behind it, or had ended before, stays as it is', () => {
  const identity = known();
  identity.learn({ netns: [netnsOf(12, { fromBootNs: 60 * second }), netnsOf(13, { fromBootNs: second, toBootNs: 40 * second })] }, 0);
  identity.keyframe(keyframe(0, 1, [10, 11]), 0);
  expect(ends(identity.snapshot())).toEqual([0, 0, 0, 40, 0, 0]);
});

test('a checkpoint between its parts changes nothing', () => {
  const identity = known();
  identity.keyframe(keyframe(0, 2, [10]), 0);
  const restored = new NodeIdentity();
  restored.restore(JSON.parse(JSON.stringify(identity.snapshot())) as IdentitySnapshot);
  for (const one of [identity, restored]) one.keyframe(keyframe(1, 2, []), 0);
  expect(restored.snapshot()).toEqual(identity.snapshot());
  expect(ends(restored.snapshot())).toEqual([0, 50, 0, 50]);
});
