import { afterAll, beforeAll, expect } from 'vitest';
import { createLog, LogLimiter } from '../../../../core/log.ts';
import { loadNative } from '../../../../native/index.ts';
import { ContainerdLab } from '../../../../test/lab/containerd-lab.ts';
import { type FoundContainerd, findContainerd2 } from '../../../../test/lab/debian-containerd.ts';
import { eventually } from '../../../../test/lab/eventually.ts';
import { kernelObstacle, kernelTest } from '../../../../test/lab/kernel-tier.ts';
import { Clock } from '../../clock.ts';
import { collectorConfig } from '../../config.ts';
import { findHierarchies } from './cgroup-hierarchies.ts';
import { CriClient } from './client.ts';
import { ContainerCgroups } from './container-cgroup.ts';
import { PodTracker } from './pod-tracker.ts';
import { PodWatcher } from './pod-watcher.ts';

const native = kernelObstacle() === undefined ? loadNative() : undefined;
let found: FoundContainerd;
let lab: ContainerdLab | undefined;

beforeAll(async () => {
  if (kernelObstacle() !== undefined) return;
  found = findContainerd2();
  if ('folder' in found) lab = await ContainerdLab.start('stream', { programs: found.folder });
  else process.stderr.write(`SKIPPED tests of the event stream with a real runtime, for want of a containerd 2.x: ${found.obstacle}\n`);
}, 400_000);

afterAll(async () => {
  await lab?.remove();
});

/** A watcher that asks by itself once an hour. */
function watch(socket: string, events: 'auto' | 'off') {
  const clock = new Clock(native!);
  const tracker = new PodTracker({
    clock,
    cgroups: new ContainerCgroups(findHierarchies()),
    cookieOf: (path) => Number(native!.netnsCookie(path)),
    changed: () => undefined,
  });
  const { cri } = collectorConfig.parse({ cri: { socket, pollInterval: '1h', events } });
  const parts = { config: cri, tracker, clock, cgroupMount: undefined, log: createLog('silent'), limiter: new LogLimiter() };
  const watcher = new PodWatcher({ ...parts, changed: () => undefined });
  const names = (): string[] => tracker.all().map(({ name, containers }) => `${name} ${containers?.length}`);
  return { watcher, names };
}

kernelTest('containerd 2: a Pod, its containers and its end are known by the event stream alone', async ({ skip }) => {
  skip(lab === undefined, 'no containerd 2.x');
  const pods = lab!;
  const [listening, deaf] = [watch(pods.socket, 'auto'), watch(pods.socket, 'off')];
  await Promise.all([listening, deaf].map(({ watcher }) => watcher.start(10_000)));
  try {
    const startedMs = performance.now();
    const pod = await pods.addPod({ name: 'rings' });
    const runsMs = performance.now();
    await eventually('the Pod is known', () => listening.names().includes('rings 2'));
    const knownMs = performance.now();
    await pods.addContainer(pod, 'side');
    await eventually('its second container is known', () => listening.names().includes('rings 3'));
    await pods.removePod(pod);
    await eventually('its end is known', () => listening.names().length === 0);
    expect(deaf.names(), 'lists were not due').toEqual([]);
    const ms = (from: number): string => (knownMs - from).toFixed(0);
    process.stdout.write(`event stream: known ${ms(startedMs)} ms after its making began, ${ms(runsMs)} ms after its container ran\n`);
  } finally {
    await Promise.all([listening, deaf].map(({ watcher }) => watcher.close()));
  }
});

kernelTest('containerd 2: each reader of the event stream gets each event', async ({ skip }) => {
  skip(lab === undefined, 'no containerd 2.x');
  const pods = lab!;
  const stop = new AbortController();
  const told = 4;
  const seen = [0, 0];
  const clients = seen.map(() => new CriClient(pods.socket));
  const ended = clients.map((client, i) => client.events(() => seen[i]++, stop.signal));
  try {
    // A stream is there when it has told something.
    for (let i = 0; seen.includes(0) && i < 100; i++) await pods.removePod(await pods.addPod({ name: `first-${i}` }));
    const before = [...seen];
    for (let i = 0; i < told; i++) await pods.removePod(await pods.addPod({ name: `told-${i}` }));
    // Made, started and ended, of each sandbox and container; of what came first no more than one Pod's are still under way.
    await eventually('both got all of it', () => seen.every((count, i) => count - before[i] >= told * 6));
  } finally {
    stop.abort();
    await Promise.all(ended);
    for (const client of clients) client.close();
  }
});
