import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import type { ProbeRow } from '../cli/probe-rows.ts';
import { metrics } from '../schema/record.gen.ts';
import { ContainerdLab, type LabPod } from './lab/containerd-lab.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { LiveRun } from './support/live-run.ts';

const limitMs = 60_000;
let folder: TemporaryFolder;
let lab: ContainerdLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

kernelTest('a probe that is enabled for one Pod looks at that Pod, also when it is made anew, and at no other', async () => {
  const dataDir = join(folder.path, 'data');
  const pods = (lab = await ContainerdLab.start('probe', { addresses: 8 }));
  const running = (run = await LiveRun.start(dataDir, [`collector.cri.socket=${pods.socket}`, `collector.hostNetns=${pods.netns}`]));
  let web = await pods.addPod({ name: 'web-0', namespace: 'shop' });
  const client = await pods.addPod({ name: 'client-0', namespace: 'shop' });
  await pods.addPod({ name: 'agent-0', namespace: 'kube-system', hostNetwork: true });
  const order = async (...args: string[]) => {
    const command = new JitterscopeProcess(['probes', ...args, '--data-dir', dataDir]);
    const { code } = await command.finish(limitMs);
    return { code, stderr: command.stderr, stdout: command.stdout };
  };
  const row = async (): Promise<ProbeRow | undefined> =>
    (JSON.parse((await order('list', '--json')).stdout) as ProbeRow[]).find(({ name }) => name === 'tcpreset');
  const refuse = (to: LabPod, port: number) => pods.exec(client, ['/bin/nc', '-w', '1', to.ip, String(port)]);
  /** What was counted in the Pods of a name, those that are gone left out. */
  const counted = async (pod: string, metric: number): Promise<number> =>
    (await running.counters()).filter((one) => one.netns === pod && one.metric === metric).reduce((sum, { value }) => sum + value, 0);
  const untilCounted = async (what: string, pod: string, metric: number, count: number): Promise<void> => {
    let found = 0;
    await eventually(
      what,
      async () => (found = await counted(pod, metric)) === count,
      () => found,
    );
  };

  let enabled = await order('enable', 'tcpreset', '--pod', 'shop/web-0');
  const isEnabled = async () => (enabled = await order('enable', 'tcpreset', '--pod', 'shop/web-0')).code === 0;
  await eventually('the Pod is known', isEnabled, () => ({ enabled, log: running.process.stderr }));
  expect(await row()).toMatchObject({ intent: { mode: 'listed', targets: ['shop/web-0'] }, absent: [] });
  for (const port of [31_000, 31_001]) await refuse(web, port);
  await untilCounted('two resets are counted', 'shop/web-0', metrics.TCPRESET_SENT, 2);
  expect(await counted('shop/client-0', metrics.TCPRESET_RECEIVED)).toBe(0);

  // Its name stays, its namespace does not.
  await pods.removePod(web);
  await eventually('the Pod is gone', async () => (await row())?.absent.length === 1);
  web = await pods.addPod({ name: 'web-0', namespace: 'shop' });
  await eventually('the new Pod is found', async () => (await row())?.absent.length === 0);
  for (const port of [31_002, 31_003, 31_004]) await refuse(web, port);
  await untilCounted('three resets of the new Pod are counted', 'shop/web-0', metrics.TCPRESET_SENT, 3);
  expect(await counted('shop/client-0', metrics.TCPRESET_RECEIVED)).toBe(0);

  expect(await order('enable', 'tcpreset', '--pod', 'shop/web-1')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/did you mean shop\/web-0\?/),
  });
  expect(await order('enable', 'tcpreset', '--pod', 'kube-system/agent-0')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/uses the network of the node/),
  });
  expect(await order('disable', 'tcpreset', '--pod', 'shop/web-0')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^disabled/) });
  await refuse(web, 31_005);
  expect(await order('enable', 'tcpreset')).toMatchObject({ code: 0 });
  await refuse(web, 31_006);
  await untilCounted('the client is looked at again', 'shop/client-0', metrics.TCPRESET_RECEIVED, 1);
  expect(await counted('shop/web-0', metrics.TCPRESET_SENT)).toBe(4);
});
