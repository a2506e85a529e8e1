import { expect, test } from 'vitest';
import { probes } from '../../bpf/registry.ts';
import { CollectorMessage, type NetworkNamespace, type Pod } from '../../proto/collect.ts';
import { enumNames, keyframeParts } from './keyframe.ts';

const offset = { seconds: 5, nanos: 6 };
const times = { nextItem: 7, firstOffset: offset, bootNs: 9e9, bootId: 'b' };
/** Pods as large as they come: 32 labels of the longest, and two containers. */
const pods = (count: number): Pod[] =>
  Array.from({ length: count }, (_, n) => ({
    sandboxId: String(n),
    labels: Object.fromEntries(Array.from({ length: 32 }, (_, label) => [`${label}`.padEnd(253, 'k'), 'v'.repeat(63)])),
    containers: [{ id: 'c'.repeat(64), cgroups: [n] }],
  }));
const netns = (count: number): NetworkNamespace[] =>
  Array.from({ length: count }, (_, n) => ({ cookie: n, names: ['x'.repeat(200)], addresses: [new Uint8Array(16)] }));
const counters = (count: number) => Array.from({ length: count }, (_, n) => ({ net: n, metric: 1, bucket: 2, label: 3, value: n }));

test('an empty node is one part', () => {
  expect(keyframeParts(times, { netns: [], pods: [], nodeCgroups: [] }, [], [], undefined)).toEqual([
    { ...times, part: 0, parts: 1, identity: { netns: [], pods: [], nodeCgroups: [] }, counters: [], enums: [] },
  ]);
});

test('large ones come in parts below the message limit, all of it once, names and hole in the first', () => {
  const enums = [{ name: 'e', values: [{ value: 1, name: 'A' }] }];
  const downtime = { fromUnixNs: 1_790_000_000_999_999_999n, toUnixNs: 1_790_000_001_000_000_000n };
  const parts = keyframeParts(times, { netns: netns(9000), pods: pods(700), nodeCgroups: [1, 2] }, enums, counters(4097), downtime);
  expect(parts.map(({ part, parts: of, nextItem }) => [part, of, nextItem])).toEqual([
    [0, 3, 7],
    [1, 3, 7],
    [2, 3, 7],
  ]);
  expect(parts.flatMap(({ identity }) => identity?.netns ?? []).map(({ cookie }) => cookie)).toEqual(
    netns(9000).map(({ cookie }) => cookie),
  );
  expect(parts.flatMap(({ identity }) => identity?.pods ?? []).map(({ sandboxId }) => sandboxId)).toEqual(
    pods(700).map(({ sandboxId }) => sandboxId),
  );
  expect(parts.flatMap(({ identity }) => identity?.nodeCgroups ?? [])).toEqual([1, 2]);
  expect(parts.flatMap((part) => part.counters ?? [])).toEqual(counters(4097));
  expect(parts.map((part) => part.enums?.length)).toEqual([1, 0, 0]);
  expect(parts.map((part) => part.downtime)).toEqual([
    { fromUnix: { seconds: 1_790_000_000, nanos: 999_999_999 }, toUnix: { seconds: 1_790_000_001, nanos: 0 } },
    undefined,
    undefined,
  ]);
  for (const keyframe of parts) expect(CollectorMessage.encode({ seq: 1, keyframe }).finish().length).toBeLessThan(4 * 2 ** 20);
});

test('names of enumerations lose their prefix, and an enumeration the kernel does not know has none', () => {
  const values: [number, string][] = [
    [0, 'SK_RST_REASON_NOT_SPECIFIED'],
    [3, 'SK_RST_REASON_NO_SOCKET'],
    [4, 'OTHER'],
  ];
  const known = enumNames(probes, { enumValues: (name) => (name === 'sk_rst_reason' ? values : undefined) });
  expect(known).toContainEqual({
    name: 'sk_rst_reason',
    values: [
      { value: 0, name: 'NOT_SPECIFIED' },
      { value: 3, name: 'NO_SOCKET' },
      { value: 4, name: 'OTHER' },
    ],
  });
  expect(enumNames(probes, { enumValues: () => undefined }).every((one) => one.values?.length === 0)).toBe(true);
});
