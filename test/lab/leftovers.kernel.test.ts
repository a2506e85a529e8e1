import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/data-folder.ts';
import { ContainerdLab } from './containerd-lab.ts';
import { kernelTest } from './kernel-tier.ts';
import { ownerNamed } from './lab-owner.ts';
import { labProcess } from './lab-process.ts';
import { removeLeftovers } from './leftovers.ts';
import { NetnsLab } from './netns-lab.ts';

const program = fileURLToPath(new URL('../../dist/test/support/lab-owner-main.js', import.meta.url));
/** No process has it: the kernel's largest id is one less. */
const nobody = `jst-${ownerNamed(4_194_304, 1)}`;

/** What another test process made. */
interface Made {
  readonly paths: readonly string[];
  readonly pids: readonly number[];
}

/** Another test process with labs of its own. */
async function startOwner(labs: 'netns' | 'pods') {
  const owner = labProcess(spawn(process.execPath, [program, labs], { stdio: ['ignore', 'pipe', 'pipe'] }));
  onTestFinished(() => owner.stop());
  const { paths, pids } = (await owner.line()) as unknown as Made;
  return { all: [...paths, ...pids.map((pid) => `/proc/${pid}/ns/net`)], kill: () => owner.stop() };
}

kernelTest(
  'what a lab that was killed left is gone when the next one starts: namespaces, processes, Pods; what lives is not touched',
  async () => {
    const [killed, living] = await Promise.all([startOwner('pods'), startOwner('netns')]);
    expect([...killed.all, ...living.all].filter((path) => !existsSync(path))).toEqual([]);
    expect(killed.all).toHaveLength(6);
    await killed.kill();
    const lab = await ContainerdLab.start('heir', { addresses: 2 });
    onTestFinished(() => lab.remove());
    expect(killed.all.filter((path) => existsSync(path))).toEqual([]);
    expect((await lab.addPod({ name: 'heir-0' })).ip).toBe('10.244.1.2');
    expect(living.all.filter((path) => !existsSync(path))).toEqual([]);
    await living.kill();
    const other = new NetnsLab('-heir');
    onTestFinished(() => other.remove());
    expect(living.all.filter((path) => existsSync(path))).toEqual([]);
  },
);

kernelTest('a lab does not start beside what it cannot remove, and names it', () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const folders = { netns: join(folder.path, 'netns'), temporary: join(folder.path, 'tmp') };
  // No namespace: `ip netns` refuses it.
  const stuck = join(folders.netns, `${nobody}-stuck-a`);
  // Of a virtual machine or container that shares the folder.
  const elsewhere = join(folders.temporary, `${nobody.replace(/^jst-[0-9a-f]{6}/, 'jst-000000')}-ctd-other`);
  for (const path of [stuck, elsewhere, join(folders.temporary, `${nobody}-ctd-old`)]) mkdirSync(path, { recursive: true });
  writeFileSync(join(folders.netns, 'somebody'), '');
  expect(() => removeLeftovers(folders)).toThrow(
    new RegExp(`left what cannot be removed; remove it by hand:\nnetwork namespace ${stuck}: `),
  );
  expect([
    existsSync(join(folders.temporary, `${nobody}-ctd-old`)),
    existsSync(join(folders.netns, 'somebody')),
    existsSync(elsewhere),
  ]).toEqual([false, true, true]);
});
