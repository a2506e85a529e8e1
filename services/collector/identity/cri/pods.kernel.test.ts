import { statSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { createLog, LogLimiter } from '../../../../core/log.ts';
import { loadNative } from '../../../../native/index.ts';
import type { Pod } from '../../../../proto/collect.ts';
import { ContainerdLab } from '../../../../test/lab/containerd-lab.ts';
import { eventually } from '../../../../test/lab/eventually.ts';
import { kernelObstacle, kernelTest } from '../../../../test/lab/kernel-tier.ts';
import { Clock } from '../../clock.ts';
import { collectorConfig } from '../../config.ts';
import { findHierarchies } from './cgroup-hierarchies.ts';
import { cgroupTree } from './cgroup-tree.ts';
import { CriClient } from './client.ts';
import { ContainerCgroups } from './container-cgroup.ts';
import { PodTracker } from './pod-tracker.ts';
import { PodWatcher } from './pod-watcher.ts';

let lab: ContainerdLab;
const native = kernelObstacle() === undefined ? loadNative() : undefined;

beforeAll(async () => {
  if (kernelObstacle() === undefined) lab = await ContainerdLab.start('cri', { addresses: 3 });
});

afterAll(async () => {
  await lab?.remove();
});

/** A watcher of the lab's runtime, and what it told, newest last by sandbox. */
function watch(pollInterval = '50ms') {
  const clock = new Clock(native!);
  const cgroups = new ContainerCgroups(findHierarchies());
  const told: Pod[] = [];
  const latest = new Map<string, Pod>();
  const changed = () => {
    for (const pod of tracker.takeChanges()) {
      told.push(pod);
      latest.set(pod.sandboxId ?? '', pod);
    }
  };
  const tracker = new PodTracker({ clock, cgroups, cookieOf: (path) => Number(native!.netnsCookie(path)), changed });
  const { cri } = collectorConfig.parse({ cri: { socket: lab.socket, pollInterval } });
  const cgroupMount = cgroups.mounts.unified;
  const log = createLog('silent');
  const watcher = new PodWatcher({ config: cri, tracker, clock, cgroupMount, log, limiter: new LogLimiter(), changed });
  return { clock, cgroups, tracker, watcher, told, latest };
}

kernelTest('a Pod is told with its names, labels, namespace, address, cgroups and start; its end, too', async () => {
  const { clock, cgroups, tracker, watcher, latest } = watch();
  await watcher.start(10_000);
  try {
    const before = clock.bootNs();
    const annotations = { 'jitterscope.io/reset-storm.rate': '50' };
    const pod = await lab.addPod({ name: 'web-0', namespace: 'shop', labels: { app: 'web' }, annotations });
    const side = await lab.addContainer(pod, 'side');
    await eventually('both containers are told', () => latest.get(pod.sandboxId)?.containers?.length === 3);
    const found = latest.get(pod.sandboxId)!;
    expect(found).toMatchObject({
      uid: pod.uid,
      namespace: 'shop',
      name: 'web-0',
      hostNetwork: false,
      labels: { app: 'web' },
      annotations: { 'reset-storm.rate': '50' },
      toBootNs: 0,
    });
    expect(found.netns).toBe(Number(native!.netnsCookie(`/proc/${pod.pid}/ns/net`)));
    expect(found.addresses?.map((bytes) => [...bytes.slice(12)].join('.'))).toEqual([pod.ip]);
    expect(found.fromBootNs).toBeGreaterThanOrEqual(before - 50e6);
    expect(found.fromBootNs).toBeLessThan(clock.bootNs());
    const names = new Map(found.containers?.map(({ id, name }) => [name, id]));
    expect(names).toEqual(
      new Map([
        ['', pod.sandboxId],
        ['main', pod.containers.get('main')],
        ['side', side],
      ]),
    );
    const tree = await cgroupTree(cgroups.mounts.unified!);
    for (const { id, cgroups: ids } of found.containers ?? []) {
      expect(ids?.map((one) => tree.get(one))).toEqual([`/kubepods/burstable/pod${pod.uid}/${id}`]);
    }
    for (const target of tracker.targets()) {
      for (const path of [target.unified, target.cpu, target.memory]) expect(path === undefined || statSync(path).isDirectory()).toBe(true);
      expect(statSync(target.unified!).ino).toBe(target.id);
    }
    await lab.removePod(pod);
    await eventually('its end is told', () => (latest.get(pod.sandboxId)?.toBootNs ?? 0) > 0);
    expect(tracker.all()).toEqual([]);
  } finally {
    await watcher.close();
  }
});

kernelTest('a hostNetwork Pod has no namespace of its own, and cgroups that the node does not claim', async () => {
  const { cgroups, watcher, latest } = watch();
  await watcher.start(10_000);
  const pod = await lab.addPod({ name: 'node-agent', namespace: 'kube-system', hostNetwork: true });
  try {
    await eventually('its container is told', () => latest.get(pod.sandboxId)?.containers?.length === 2);
    const found = latest.get(pod.sandboxId)!;
    expect(found).toMatchObject({ hostNetwork: true, netns: 0, addresses: [] });
    const ids = found.containers?.flatMap((one) => one.cgroups ?? []) ?? [];
    expect(ids).toHaveLength(2);
    const root = statSync(cgroups.mounts.unified!).ino;
    await eventually('the cgroups of the node are told', () => watcher.nodeCgroups.all().includes(root));
    expect(watcher.nodeCgroups.all().filter((id) => ids.includes(id))).toEqual([]);
  } finally {
    await lab.removePod(pod);
    await watcher.close();
  }
});

kernelTest('a runtime that is killed and started again loses no Pod, and is followed again', async () => {
  const { tracker, watcher, latest, told } = watch();
  await watcher.start(10_000);
  const pod = await lab.addPod({ name: 'stays' });
  try {
    await eventually('the Pod is told', () => latest.get(pod.sandboxId)?.containers?.length === 2);
    const count = told.length;
    await lab.killDaemon();
    await eventually('the outage is noticed', () => watcher.problem !== undefined);
    expect(tracker.all().map(({ name }) => name)).toEqual(['stays']);
    await lab.startDaemon();
    await eventually('the outage is over', () => watcher.problem === undefined);
    expect(told.slice(count), 'nothing changed').toEqual([]);
    const second = await lab.addPod({ name: 'second' });
    await eventually('a new Pod is told', () => latest.get(second.sandboxId)?.containers?.length === 2);
    await lab.removePod(second);
  } finally {
    await lab.removePod(pod);
    await watcher.close();
  }
});

kernelTest('a runtime without an event stream says so at once', async () => {
  const client = new CriClient(lab.socket);
  const { runtimeName, runtimeVersion } = await client.version();
  const major = Number(/^v?(\d+)\.(\d+)/.exec(runtimeVersion ?? '')?.[2] ?? 0);
  expect(runtimeName).toBe('containerd');
  const stop = new AbortController();
  let events = 0;
  const ended = client.events(() => events++, stop.signal);
  if (/^v?1\./.test(runtimeVersion ?? '') && major < 7) await ended;
  else {
    const pod = await lab.addPod({ name: 'rings' });
    await eventually('events come', () => events > 0);
    await lab.removePod(pod);
    stop.abort();
    await ended;
  }
  expect(await client.sandboxStatus('nobody')).toBeUndefined();
  client.close();
});
