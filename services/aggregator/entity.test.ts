import { expect, test } from 'vitest';
import { NodeIdentity } from './identity.ts';
import { netnsOf, podOf } from './test-stream.ts';

const second = 1e9;
const identity = new NodeIdentity();
identity.learn(
  {
    netns: [
      netnsOf(1, { host: true }),
      netnsOf(10, { fromBootNs: second }),
      netnsOf(12, { names: ['plain'], fromBootNs: 50 * second }),
      netnsOf(13, { names: [], processes: [{ pid: 7, comm: 'nginx' }], fromBootNs: second }),
    ],
    pods: [podOf('web-0', 10), podOf('agent', 0, { hostNetwork: true })],
  },
  0,
);
const pod = { kind: 'pod', namespace: 'shop', pod: 'web-0', uid: 'u-web-0', container: '' };

test.each<[string, number, number, number, object]>([
  ['a Pod’s namespace', 10, 0, 60, pod],
  ['a container by the cgroup of its samples', 0, 2010, 60, { ...pod, container: 'app' }],
  ['a hostNetwork container', 0, 2000, 60, { ...pod, pod: 'agent', uid: 'u-agent', container: 'app' }],
  ['a cgroup of records: another hierarchy', 0, 1010, 60, { kind: 'unknown' }],
  ['the node’s namespace', 1, 0, 60, { kind: 'node' }],
  ['neither namespace nor cgroup', 0, 0, 60, { kind: 'node' }],
  ['a namespace of nobody', 12, 0, 60, { kind: 'netns', name: 'plain' }],
  ['one that may be a Pod’s in a moment', 12, 0, 52, { kind: 'unknown' }],
  ['one without a name', 13, 0, 60, { kind: 'netns', name: 'nginx[7]' }],
  ['one that nobody told', 99, 0, 60, { kind: 'unknown' }],
])('the entity of %s', (_, netns, cgroup, at, expected) => {
  expect(identity.entityOf(netns, cgroup, at * second)).toEqual(expected);
  // Callers cache by it.
  expect(identity.entityOf(netns, cgroup, at * second)).toBe(identity.entityOf(netns, cgroup, at * second));
});

test('what a keyframe tells again stays the same entity; a change makes another one', () => {
  const again = new NodeIdentity();
  const tell = (name: string): unknown => {
    again.learn({ netns: [netnsOf(10), netnsOf(12, { names: [name] })], pods: [podOf('web-0', 10, { uid: name })] }, 0);
    return [again.entityOf(10, 0, second), again.entityOf(10, 2010, second), again.entityOf(12, 0, 60 * second)];
  };
  const [first, second_, third] = [tell('a'), tell('a'), tell('b')] as [object[], object[], object[]];
  first.forEach((entity, index) => {
    expect(second_[index]).toBe(entity);
    expect(third[index]).not.toBe(entity);
  });
});

test('an inode’s entity is that of its time', () => {
  const byInode = new NodeIdentity();
  byInode.learn(
    {
      netns: [netnsOf(5, { inode: 5, fromBootNs: 11 * second, toBootNs: 20 * second }), netnsOf(5, { inode: 5, fromBootNs: 31 * second })],
      pods: [podOf('first', 5, { fromBootNs: 10 * second, toBootNs: 21 * second }), podOf('second', 5, { fromBootNs: 30 * second })],
    },
    0,
  );
  const nameAt = (at: number) => {
    const entity = byInode.entityOf(5, 0, at * second);
    return entity.kind === 'pod' ? entity.pod : entity.kind;
  };
  expect([15, 25, 40].map(nameAt)).toEqual(['first', 'unknown', 'second']);
});
