import { execFileSync, spawn } from 'node:child_process';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { loadNative } from '../../../native/index.ts';
import { eventually } from '../../../test/lab/eventually.ts';
import { kernelTest } from '../../../test/lab/kernel-tier.ts';
import { NodeNamespaces } from './node-namespaces.ts';

const ip = (...args: string[]): void => void execFileSync('ip', args);

function makeNetns(name: string): void {
  ip('netns', 'add', name);
  onTestFinished(() => {
    try {
      execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    } catch {
      // Removed by the test.
    }
  });
}

/** How often a namespace was entered, beside the addon's answer. */
function counted() {
  const native = loadNative();
  const entered: string[] = [];
  return {
    entered,
    netnsCookie: (path: string) => {
      entered.push(path);
      return native.netnsCookie(path);
    },
  };
}

const noProcesses = (): never[] => [];

kernelTest('a named namespace is found with its cookie and inode, and entered once', () => {
  makeNetns('jsunit-a');
  const native = counted();
  const node = new NodeNamespaces(native, noProcesses);
  const find = () => [...node.look().values()].find(({ names }) => names.includes('jsunit-a'));
  const found = find();
  expect(found).toMatchObject({
    inode: statSync('/run/netns/jsunit-a').ino,
    cookie: Number(loadNative().netnsCookie('/run/netns/jsunit-a')),
    processes: [],
  });
  find();
  find();
  expect(native.entered.filter((path) => path === '/run/netns/jsunit-a')).toHaveLength(1);
});

kernelTest('the next namespace of a name is another one, whatever its inode, and nobody need say so', () => {
  const node = new NodeNamespaces(loadNative(), noProcesses);
  const cookies = new Set<number>();
  for (let n = 0; n < 8; n++) {
    makeNetns('jsunit-b');
    const found = [...node.look().values()].find(({ names }) => names.includes('jsunit-b'));
    expect(found?.cookie).toBe(Number(loadNative().netnsCookie('/run/netns/jsunit-b')));
    cookies.add(found?.cookie ?? 0);
    ip('netns', 'del', 'jsunit-b');
  }
  expect(cookies.size).toBe(8);
});

kernelTest('a leftover file that is no namespace is passed over', () => {
  const file = '/run/netns/jsunit-file';
  makeNetns('jsunit-c');
  writeFileSync(file, '');
  onTestFinished(() => rmSync(file, { force: true }));
  const names = [...new NodeNamespaces(loadNative(), noProcesses).look().values()].flatMap((netns) => netns.names);
  expect(names).toContain('jsunit-c');
  expect(names).not.toContain('jsunit-file');
});

kernelTest('without the iterator processes are read from /proc, and a namespace has both its names and its processes', async () => {
  makeNetns('jsunit-d');
  execFileSync('ip', ['netns', 'attach', 'jsunit-d2', String(process.pid)]);
  onTestFinished(() => ip('netns', 'del', 'jsunit-d2'));
  const child = spawn('ip', ['netns', 'exec', 'jsunit-d', 'sleep', '60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const node = new NodeNamespaces(loadNative(), undefined);
  await eventually('the process is in its namespace', () =>
    [...node.look().values()].some(({ names, processes }) => names.includes('jsunit-d') && processes.some(({ comm }) => comm === 'sleep')),
  );
  const all = [...node.look().values()];
  const own = all.find(({ inode }) => inode === statSync('/proc/self/ns/net').ino);
  expect(own?.names).toContain('jsunit-d2');
  expect(own?.processes.length).toBeLessThanOrEqual(4);
  expect(new Set(all.map(({ inode }) => inode)).size).toBe(all.length);
});

kernelTest('a namespace that cannot be entered is left out, and the reason said', () => {
  makeNetns('jsunit-e');
  const node = new NodeNamespaces(
    {
      netnsCookie: () => {
        throw new Error('setns: EPERM');
      },
    },
    noProcesses,
  );
  expect([...node.look().values()].flatMap(({ names }) => names)).not.toContain('jsunit-e');
  expect(node.problem).toBe('setns: EPERM');
});
