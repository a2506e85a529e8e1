import { readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect } from 'vitest';
import type { BpfObject } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { netnsProgram, parseNetnsRows } from './rows.ts';

let lab: NetnsLab;
let object: BpfObject;

beforeEach(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-netns');
  object = loadNative().openObject('netns.bpf.o', readBpfObject('netns'));
  object.load();
});

afterEach(async () => {
  object?.close();
  await lab?.remove();
});

kernelTest(
  'each process is listed once, with the cookie that a socket in its namespace reads and the inode that procfs shows',
  async () => {
    const server = lab.start(lab.b, 'abort-server.mjs', '::', '9000', 'linger');
    await server.line();
    const rows = parseNetnsRows(object.iterate(netnsProgram));
    const comm = readFileSync(`/proc/${server.pid}/comm`, 'utf8').trim();
    const row = { cookie: Number(loadNative().netnsCookie(lab.b.path)), inode: statSync(lab.b.path).ino, pid: server.pid, comm };
    expect(rows.filter(({ pid }) => pid === server.pid)).toEqual([row]);
    expect(rows.filter(({ inode }) => inode === row.inode)).toEqual([row]);
    const own = rows.find(({ pid }) => pid === process.pid);
    expect(own).toMatchObject({ inode: statSync('/proc/self/ns/net').ino, cookie: Number(loadNative().netnsCookie('/proc/self/ns/net')) });
  },
);

kernelTest('a namespace without a process is not listed', () => {
  const inode = statSync(lab.a.path).ino;
  expect(parseNetnsRows(object.iterate(netnsProgram)).filter((row) => row.inode === inode)).toEqual([]);
});
