import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findHierarchies } from './cgroup-hierarchies.ts';
import { ContainerCgroups, cgroupPath } from './container-cgroup.ts';

const id = 'ab'.repeat(32);

test.each([
  ['/kubepods/burstable/podx/abc', '/kubepods/burstable/podx/abc'],
  ['kubepods/podx/abc', '/kubepods/podx/abc'],
  [
    'kubepods-burstable-podx.slice:cri-containerd:abc',
    '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podx.slice/cri-containerd-abc.scope',
  ],
  ['system.slice:docker:abc', '/system.slice/docker-abc.scope'],
  ['user.slice::abc', '/user.slice/abc.scope'],
  ['-.slice:runc:abc', '/runc-abc.scope'],
  ['a.slice:runc:b.slice', '/a.slice/b.slice'],
])('linux.cgroupsPath %s is the cgroup %s', (told, path) => {
  expect(cgroupPath(told)).toBe(path);
});

/** A folder with hierarchies in which the test makes cgroups. */
function hierarchiesOf() {
  const root = mkdtempSync(join(tmpdir(), 'jitterscope-cgroups-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const mounts = { unified: join(root, 'unified'), cpu: join(root, 'cpu'), cpuacct: join(root, 'cpu'), memory: join(root, 'memory') };
  const make = (hierarchy: keyof typeof mounts, path: string): string => {
    const folder = mounts[hierarchy] + path;
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  return { mounts, make };
}

test('by its process, a container is found in every hierarchy, and its own cgroup, not one that it made', () => {
  const { mounts, make } = hierarchiesOf();
  const folders = (['unified', 'cpu', 'memory'] as const).map((hierarchy) => make(hierarchy, `/a/${id}`));
  make('unified', `/a/${id}/init`);
  const proc = `9:name=systemd:/a/${id}\n4:memory:/a/${id}\n3:cpu,cpuacct:/a/${id}\n0::/a/${id}/init\n`;
  const found = new ContainerCgroups(mounts, () => proc).find(id, { pid: 5, netnsPath: undefined, cgroupsPath: undefined });
  expect(found).toEqual({ id: statSync(folders[0]).ino, unified: folders[0], cpu: folders[1], cpuacct: folders[1], memory: folders[2] });
});

test('a process that is another one by now is not believed: the path that the runtime was told is', () => {
  const { mounts, make } = hierarchiesOf();
  const own = make('unified', `/kubepods.slice/cri-containerd-${id}.scope`);
  make('unified', '/other');
  const cgroups = new ContainerCgroups(mounts, () => '0::/other\n');
  const cgroupsPath = `kubepods.slice:cri-containerd:${id}`;
  expect(cgroups.find(id, { pid: 5, netnsPath: undefined, cgroupsPath })?.unified).toBe(own);
  expect(cgroups.find(id, { pid: 5, netnsPath: undefined, cgroupsPath: undefined })).toBeUndefined();
});

test('seen from a cgroup namespace of its own, the process does not say where its cgroup is', () => {
  const { mounts, make } = hierarchiesOf();
  const own = make('unified', `/kubepods/${id}`);
  const cgroups = new ContainerCgroups(mounts, () => `0::/../../kubepods/${id}\n`);
  expect(cgroups.find(id, { pid: 5, netnsPath: undefined, cgroupsPath: `/kubepods/${id}` })?.unified).toBe(own);
});

test('without the v2 hierarchy the id is that of cpu', () => {
  const { mounts, make } = hierarchiesOf();
  const cpu = make('cpu', `/${id}`);
  const cgroups = new ContainerCgroups({ ...mounts, unified: undefined }, () => '');
  expect(cgroups.find(id, { pid: 0, netnsPath: undefined, cgroupsPath: `/${id}` })).toEqual({
    id: statSync(cpu).ino,
    unified: undefined,
    cpu,
    cpuacct: cpu,
    memory: undefined,
  });
});

test('hierarchies are found among the mounts; of several v2 ones the whole one', () => {
  const mounts = [
    'cgroup2 /sys/fs/cgroup cgroup2 rw 0 0',
    'cgroup2 /host/sys\\040fs/cgroup cgroup2 ro 0 0',
    'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0',
    'cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0',
    'tmpfs /run tmpfs rw 0 0',
    '',
  ].join('\n');
  const inodes: Record<string, number> = { '/sys/fs/cgroup': 812, '/host/sys fs/cgroup': 1 };
  expect(findHierarchies(mounts, (path) => inodes[path])).toEqual({
    unified: '/host/sys fs/cgroup',
    cpu: '/sys/fs/cgroup/cpu,cpuacct',
    cpuacct: '/sys/fs/cgroup/cpu,cpuacct',
    memory: '/sys/fs/cgroup/memory',
  });
  expect(findHierarchies('proc /proc proc rw 0 0\n')).toEqual({
    unified: undefined,
    cpu: undefined,
    cpuacct: undefined,
    memory: undefined,
  });
});
