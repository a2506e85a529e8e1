import { expect, test } from 'vitest';
import { NodeCgroups } from './node-cgroups.ts';
import { newContainer, type TrackedContainer } from './tracked-pod.ts';

const mount = '/sys/fs/cgroup';
const hex = 'ab'.repeat(32);

function container(id: string, path: string): TrackedContainer {
  return { ...newContainer(id, id), target: { id: 1000, unified: mount + path, cpu: undefined, cpuacct: undefined, memory: undefined } };
}

function look(cgroups: NodeCgroups, tree: [number, string][], containers: TrackedContainer[] = [], atSeconds = 1) {
  const below: [string, number][] = [];
  cgroups.look(new Map(tree), mount, containers, atSeconds * 1e9, (id, cgroup) => below.push([id, cgroup]));
  return { told: cgroups.takeChanges(), below };
}

test('what belongs to no container is the node’s, and told once', () => {
  const cgroups = new NodeCgroups();
  expect(cgroups.any).toBe(false);
  const tree: [number, string][] = [
    [1, '/'],
    [7, '/system.slice/sshd.service'],
  ];
  expect(look(cgroups, tree).told).toEqual([1, 7]);
  expect(look(cgroups, tree).told).toEqual([]);
  expect([cgroups.any, cgroups.all()]).toEqual([true, [1, 7]]);
});

test('a container’s own cgroup is not, and what lies below it is the container’s', () => {
  const path = `/kubepods/podx/${hex}`;
  const tree: [number, string][] = [
    [1, '/'],
    [1000, path],
    [1001, `${path}/init.scope`],
    [1002, `${path}/init.scope/more`],
  ];
  expect(look(new NodeCgroups(), tree, [container('c', path)])).toEqual({
    told: [1],
    below: [
      ['c', 1001],
      ['c', 1002],
    ],
  });
});

test('a container that the runtime does not know is the node’s only after a while: it may be told yet', () => {
  const cgroups = new NodeCgroups();
  const tree: [number, string][] = [[5, `/system.slice/docker-${hex}.scope`]];
  expect(look(cgroups, tree, [], 1).told).toEqual([]);
  expect(look(cgroups, tree, [], 10).told).toEqual([]);
  expect(look(cgroups, tree, [], 11).told).toEqual([5]);
});

test('what is gone is forgotten', () => {
  const cgroups = new NodeCgroups();
  look(cgroups, [
    [1, '/'],
    [7, '/a'],
  ]);
  look(cgroups, [[1, '/']]);
  expect(cgroups.all()).toEqual([1]);
});
