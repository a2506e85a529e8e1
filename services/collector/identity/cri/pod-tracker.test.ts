import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import type { RuntimeClient } from './client.ts';
import type { ContainerCgroups } from './container-cgroup.ts';
import { PodTracker } from './pod-tracker.ts';

const offsetNs = 1e18;

/** A runtime of which the test says what it lists. */
function runtimeOf() {
  const state = {
    sandboxes: [] as { id: string; name: string; createdAtNs?: number; hostNetwork?: boolean }[],
    running: [] as { id: string; sandbox: string; name: string }[],
    /** Sandboxes whose status fails, with which code. */
    failing: new Map<string, number>(),
    cookies: new Map<string, number>(),
    /** Ids that have a cgroup. */
    withCgroup: new Set<string>(),
    asked: 0,
    nowNs: 100e9,
  };
  const client = {
    sandboxes: () =>
      Promise.resolve(
        state.sandboxes.map(({ id, name, createdAtNs }) => ({
          id,
          metadata: { name, namespace: 'ns', uid: `uid-${id}` },
          createdAt: createdAtNs ?? offsetNs + 50e9,
        })),
      ),
    containers: () => Promise.resolve(state.running.map(({ id, sandbox, name }) => ({ id, podSandboxId: sandbox, metadata: { name } }))),
    sandboxStatus: (id: string) => {
      state.asked++;
      const code = state.failing.get(id);
      if (code !== undefined) return Promise.reject(Object.assign(new Error('failed'), { code }));
      const { hostNetwork } = state.sandboxes.find((one) => one.id === id) ?? {};
      const network = hostNetwork ? {} : { path: `/netns/${id}` };
      const info = { pid: 7, runtimeSpec: { linux: { namespaces: [{ type: 'network', ...network }] } } };
      const linux = { namespaces: { options: { network: hostNetwork ? 2 : 0 } } };
      return Promise.resolve({ status: { linux, network: { ip: hostNetwork ? '' : '10.0.0.1' } }, info: { info: JSON.stringify(info) } });
    },
    containerInfo: () => {
      state.asked++;
      return Promise.resolve({});
    },
  } as unknown as RuntimeClient;
  let cgroup = 1000;
  const cgroups = {
    mounts: { unified: '/sys/fs/cgroup' },
    find: (id: string) => (state.withCgroup.has(id) ? { id: cgroup++, unified: `/sys/fs/cgroup/${id}` } : undefined),
  } as unknown as ContainerCgroups;
  const clock = { bootNs: () => state.nowNs, wallNs: () => BigInt(offsetNs) + BigInt(state.nowNs) };
  const tracker = new PodTracker({ clock, cgroups, cookieOf: (path) => state.cookies.get(path), changed: () => undefined });
  const refresh = async (atSeconds: number) => {
    state.nowNs = atSeconds * 1e9;
    await tracker.refresh(client);
    return tracker.takeChanges();
  };
  return { state, tracker, refresh };
}

test('a sandbox is told with the time at which the runtime began to make it; when it is not listed any longer it has ended', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup.add('a');
  expect(await refresh(100)).toEqual([expect.objectContaining({ sandboxId: 'a', name: 'web', netns: 41, fromBootNs: 50e9, toBootNs: 0 })]);
  expect(tracker.hasNetns(41)).toBe(true);
  expect(await refresh(101)).toEqual([]);
  state.sandboxes = [];
  expect(await refresh(102)).toEqual([expect.objectContaining({ sandboxId: 'a', toBootNs: 102e9 })]);
  expect(tracker.all()).toEqual([]);
});

test.each([
  ['no time', 0, 100e9],
  ['a time before this boot', 5e17, 1],
  ['a time to come', 2e18, 100e9],
])('a runtime that tells %s is not believed', async (_, createdAtNs, fromBootNs) => {
  const { state, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web', createdAtNs }];
  expect((await refresh(100))[0]).toMatchObject({ fromBootNs });
});

test('status is asked of what is new alone', async () => {
  const { state, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.running = [{ id: 'c', sandbox: 'a', name: 'main' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup = new Set(['a', 'c']);
  const [pod] = await refresh(1);
  expect(pod.containers?.map(({ name, cgroups }) => [name, cgroups?.length])).toEqual([
    ['', 1],
    ['main', 1],
  ]);
  expect(state.asked).toBe(2);
  for (let at = 2; at < 20; at++) expect(await refresh(at)).toEqual([]);
  expect(state.asked).toBe(2);
});

test('what is not there yet is looked for again, but not for ever', async () => {
  const { state, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  expect((await refresh(1))[0]).toMatchObject({ netns: 0 });
  state.cookies.set('/netns/a', 41);
  expect((await refresh(2))[0]).toMatchObject({ netns: 41 });
  for (let at = 3; at < 40; at++) await refresh(at);
  expect(state.asked).toBe(10);
});

test('a sandbox about which the runtime fails hides no other one; a runtime that fails altogether is told', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [
    { id: 'broken', name: 'x' },
    { id: 'a', name: 'web' },
  ];
  state.failing.set('broken', status.INTERNAL);
  expect((await refresh(1)).map(({ name }) => name)).toEqual(['web']);
  state.failing.set('broken', status.UNAVAILABLE);
  await expect(refresh(2)).rejects.toThrow('failed');
  expect(tracker.all().map(({ name }) => name)).toEqual(['web']);
});

test('a runtime that was too busy to tell of a Pod for long is asked about it again a minute later', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup.add('a');
  state.failing.set('a', status.DEADLINE_EXCEEDED);
  for (let at = 1; at <= 12; at++) await refresh(at).catch(() => undefined);
  expect([state.asked, tracker.all()]).toEqual([10, []]);
  state.failing.clear();
  await refresh(60);
  expect(tracker.all()).toEqual([]);
  await refresh(71);
  expect(tracker.all().map(({ name }) => name)).toEqual(['web']);
});

test('a Pod ends with its namespace, and is not taken up again while the runtime still lists it', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.cookies.set('/netns/a', 41);
  await refresh(1);
  tracker.netnsGone(new Set([41]), 5e9);
  expect(tracker.takeChanges()).toEqual([expect.objectContaining({ sandboxId: 'a', toBootNs: 5e9 })]);
  expect(await refresh(6)).toEqual([]);
  expect(await refresh(1_000)).toEqual([]);
});

test('a Pod whose namespace goes while the runtime is asked about it stays ended', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.cookies.set('/netns/a', 41);
  await refresh(1);
  const asked = refresh(2);
  // Its status is on the way.
  for (let turn = 0; turn < 5 && state.asked < 2; turn++) await Promise.resolve();
  expect(state.asked).toBe(2);
  tracker.netnsGone(new Set([41]), 2e9);
  expect((await asked).map(({ toBootNs }) => toBootNs)).toEqual([2e9]);
  expect(tracker.all()).toEqual([]);
});

test('a container that a list left out once runs again', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.running = [{ id: 'c', sandbox: 'a', name: 'main' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup = new Set(['a', 'c']);
  await refresh(1);
  const running = state.running;
  state.running = [];
  await refresh(2);
  state.running = running;
  await refresh(3);
  expect(tracker.targets()).toHaveLength(2);
});

test('a hostNetwork Pod has no namespace, and no address of its own', async () => {
  const { state, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'agent', hostNetwork: true }];
  state.cookies.set('/proc/7/ns/net', 99);
  expect((await refresh(1))[0]).toMatchObject({ hostNetwork: true, netns: 0, addresses: [] });
});

test('a container that has ended keeps its cgroup for late records, then goes', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.running = [{ id: 'c', sandbox: 'a', name: 'main' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup = new Set(['a', 'c']);
  await refresh(1);
  expect(tracker.targets()).toHaveLength(2);
  state.running = [];
  await refresh(2);
  expect(tracker.targets()).toHaveLength(1);
  await refresh(100);
  expect(tracker.all()[0].containers).toHaveLength(2);
  expect((await refresh(123))[0].containers).toHaveLength(1);
});

test('cgroups that a container made below its own are told with it', async () => {
  const { state, tracker, refresh } = runtimeOf();
  state.sandboxes = [{ id: 'a', name: 'web' }];
  state.cookies.set('/netns/a', 41);
  state.withCgroup.add('a');
  await refresh(1);
  tracker.foundBelow('a', 77);
  tracker.foundBelow('a', 77);
  tracker.foundBelow('nobody', 78);
  expect(tracker.takeChanges().map(({ containers }) => containers?.[0].cgroups)).toEqual([[1000, 77]]);
});
