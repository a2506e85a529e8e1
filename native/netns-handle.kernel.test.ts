import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ownPrefix } from '../test/lab/lab-owner.ts';
import { NetnsLab } from '../test/lab/netns-lab.ts';
import type { NetnsHandle } from './addon.ts';
import { addonPath, loadNative } from './index.ts';

const native = loadNative();
const own = '/proc/self/ns/net';
const opened: NetnsHandle[] = [];
let lab: NetnsLab;

beforeAll(() => {
  lab = new NetnsLab('-handle');
});
afterAll(() => lab.remove());
beforeEach(() => open(own));
afterEach(() => {
  for (const handle of opened.splice(0)) handle.close();
});

function open(path: string): NetnsHandle {
  const handle = native.openNetns(path);
  opened.push(handle);
  return handle;
}

function text(handle: NetnsHandle, name: string): string | undefined {
  return handle.readProcNet([name])[0]?.toString();
}

/** Names of the interfaces that /proc/net/dev shows. */
function interfacesOf(handle: NetnsHandle): string[] {
  return interfacesIn(text(handle, 'dev') ?? '');
}

function interfacesIn(dev: string): string[] {
  return [...dev.matchAll(/^\s*(\S+):/gm)].map(([, name]) => name ?? '').sort();
}

const descriptors = () => readdirSync('/proc/self/fd').length;

/** A request for all addresses: an nlmsghdr and a struct ifaddrmsg (rtnetlink(7)). */
function addressRequest(): Buffer {
  const request = Buffer.alloc(24);
  request.writeUInt32LE(24, 0);
  request.writeUInt16LE(22, 4);
  request.writeUInt16LE(0x301, 6);
  return request;
}

test('the handle is of the namespace: inode, cookie, files and answers', () => {
  const cookies = [own, lab.a.path, lab.b.path].map((path) => {
    const handle = open(path);
    expect(handle).toMatchObject({ inode: statSync(path).ino, cookie: Number(native.netnsCookie(path)) });
    const dev = execFileSync('nsenter', [`--net=${path}`, 'cat', '/proc/net/dev'], { encoding: 'utf8' });
    expect(interfacesOf(handle)).toEqual(interfacesIn(dev));
    expect(handle.dump(0, addressRequest()).length).toBe(native.netlinkDump(path, 0, addressRequest()).length);
    return handle.cookie;
  });
  expect(new Set(cookies).size).toBe(3);
});

test('files come in the order asked for, each in a buffer of its own size; one that is not there is undefined', () => {
  const handle = open(lab.a.path);
  const [none, snmp, below, unix, again] = handle.readProcNet(['jitterscope', 'snmp', 'snmp/x', 'unix', 'snmp']);
  expect([none, below]).toEqual([undefined, undefined]);
  expect(snmp?.toString()).toMatch(/^Ip: Forwarding .*\nTcp: .*\n$/s);
  expect(unix?.toString()).toMatch(/^Num\s+RefCount/);
  expect(again).toEqual(snmp);
  expect(snmp?.length).toBe(snmp?.toString().length);
  expect(handle.readProcNet([])).toEqual([]);
  expect(open(own).readProcNet(['stat/rt_cache'])[0]?.toString()).toMatch(/^entries/);
});

test('two namespaces read in turns show their own numbers each time', () => {
  const [a, b] = [open(lab.a.path), open(lab.b.path)];
  execFileSync('ip', ['-n', lab.a.name, 'link', 'add', 'onlya', 'type', 'veth', 'peer', 'name', 'onlyb']);
  for (let turn = 0; turn < 20; turn++) {
    expect(interfacesOf(a)).toContain('onlya');
    expect(interfacesOf(b)).not.toContain('onlya');
    expect(a.readProcNet(['dev_snmp6/onlya', 'dev_snmp6/lo']).map((file) => file !== undefined)).toEqual([true, true]);
    expect(b.readProcNet(['dev_snmp6/onlya', 'dev_snmp6/lo']).map((file) => file !== undefined)).toEqual([false, true]);
  }
  execFileSync('ip', ['-n', lab.a.name, 'link', 'del', 'onlya']);
});

test('files that stay open show what is there now, each read anew, and what is gone as gone', () => {
  const [a, b] = [open(lab.a.path), open(lab.b.path)];
  const names = ['dev', 'snmp', 'netstat', 'nothing'];
  const sent = (handle: NetnsHandle): number =>
    Number(/^Udp: \d+ \d+ \d+ (\d+)/m.exec(handle.readProcNet(names, true)[1]!.toString())?.[1]);
  const before = [descriptors(), sent(a), sent(b)];
  expect(descriptors() - before[0]).toBe(6);
  for (let turn = 1; turn <= 20; turn++) {
    execFileSync('nsenter', [`--net=${lab.a.path}`, 'bash', '-c', 'echo > /dev/udp/127.0.0.1/9']);
    expect([sent(a), sent(b)]).toEqual([before[1] + turn, before[2]]);
  }
  execFileSync('ip', ['-n', lab.a.name, 'link', 'add', 'goes', 'type', 'veth', 'peer', 'name', 'goes1']);
  const shown = (): boolean[] =>
    a.readProcNet(['dev_snmp6/goes', 'dev'], true).map((file) => file !== undefined && !file.includes(' goes1:'));
  expect(shown()).toEqual([true, false]);
  execFileSync('ip', ['-n', lab.a.name, 'link', 'del', 'goes']);
  expect(shown()).toEqual([false, true]);
  a.close();
  b.close();
  expect(descriptors()).toBe(before[0] - 2);
});

test('files stay open only as long as descriptors are left for others', () => {
  const script = `const native = require(process.argv[1]); const fs = require('fs'); const count = () => fs.readdirSync('/proc/self/fd').length;
    const names = ['snmp', 'snmp6', 'netstat', 'dev', 'sockstat'];
    const handles = Array.from({ length: 10 }, () => native.openNetns(process.argv[2])); const before = count();
    const read = () => handles.map((handle) => handle.readProcNet(names, true).every((file) => file.length > 0)).every(Boolean);
    const good = [read(), read()]; const kept = count() - before;
    handles[0].close(); const closed = count() - before; good.push(handles.slice(1).every((handle) => handle.readProcNet(names, true).length === 5));
    console.log(JSON.stringify([good, kept, closed, count() - before]));`;
  const { stdout } = spawnSync('prlimit', ['--nofile=160', process.execPath, '-e', script, addonPath(), lab.a.path], { encoding: 'utf8' });
  // A quarter of 160; a handle's own five and its namespace go with it, and others take their room.
  expect(JSON.parse(stdout)).toEqual([[true, true, true], 40, 34, 39]);
});

test('a namespace whose name is gone lives as long as the handle, and not longer', async () => {
  const name = `${ownPrefix}-held`;
  execFileSync('ip', ['netns', 'add', name]);
  const handle = open(`/run/netns/${name}`);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  execFileSync('ip', ['-n', name, 'link', 'add', 'held0', 'type', 'veth', 'peer', 'name', 'held1', 'netns', lab.a.name]);
  execFileSync('ip', ['netns', 'del', name]);
  const peer = open(lab.a.path);
  expect(interfacesOf(handle)).toContain('held0');
  expect(text(handle, 'snmp')).toMatch(/^Ip: /);
  expect(handle.dump(0, addressRequest()).length).toBeGreaterThan(0);
  handle.close();
  // With the namespace goes its end of the pair, and with that the other end.
  const deadline = Date.now() + 30_000;
  while (interfacesOf(peer).includes('held1') && Date.now() < deadline) await sleep(20);
  expect(interfacesOf(peer)).not.toContain('held1');
});

test('close lets the descriptor go, again and again; after it every use is refused', () => {
  const before = descriptors();
  const threads = readdirSync('/proc/self/task').length;
  for (let turn = 0; turn < 1000; turn++) {
    const handle = native.openNetns(lab.a.path);
    if (turn % 10 === 0) handle.readProcNet(['snmp', 'nothing']);
    handle.close();
    handle.close();
  }
  expect(descriptors()).toBe(before);
  expect(readdirSync('/proc/self/task').length - threads).toBeLessThan(5);
  const handle = open(lab.a.path);
  handle.close();
  const refused = expect.objectContaining({ code: 'NATIVE_ARGUMENT', errnoName: 'EBADF', message: expect.stringContaining(lab.a.path) });
  expect(() => handle.readProcNet(['snmp'])).toThrow(refused);
  expect(() => handle.dump(0, addressRequest())).toThrow(refused);
});

test('a failure of any kind leaves no descriptor', () => {
  const handle = open(lab.a.path);
  const before = descriptors();
  for (let turn = 0; turn < 50; turn++) {
    expect(() => native.openNetns('/proc/version')).toThrow(expect.objectContaining({ code: 'NATIVE_NETNS', errnoName: 'EINVAL' }));
    expect(() => native.openNetns('/proc/self/ns/uts')).toThrow(expect.objectContaining({ errnoName: 'EINVAL' }));
    expect(() => native.openNetns('/run/netns/jitterscope-none')).toThrow(expect.objectContaining({ errnoName: 'ENOENT' }));
    expect(() => handle.readProcNet(['stat'])).toThrow(expect.objectContaining({ code: 'NATIVE_NETNS', errnoName: 'EISDIR' }));
    expect(() => handle.dump(31, addressRequest())).toThrow(expect.objectContaining({ errnoName: 'EPROTONOSUPPORT' }));
  }
  expect(descriptors()).toBe(before);
});

test.each<[unknown, string]>([
  [['../status'], 'names[0]'],
  [['snmp', 'stat/../../maps'], 'names[1]'],
  [['/proc/1/environ'], 'names[0]'],
  [['stat/'], 'names[0]'],
  [[''], 'names[0]'],
  [['..'], 'names[0]'],
  [['a\0b'], 'names[0]'],
  [['x'.repeat(300)], 'names[0]'],
  [[7], 'names[0]'],
  [new Array(65).fill('snmp'), 'at most 64'],
  ['snmp', 'must be an array'],
])('%o are no names of files below /proc/net', (names, message) => {
  const handle = open(lab.a.path);
  expect(() => handle.readProcNet(names as string[])).toThrow(
    expect.objectContaining({ code: 'NATIVE_ARGUMENT', message: expect.stringContaining(message) }),
  );
});

test('handles that nobody closes are closed when they are collected', () => {
  const script = `const native = require(process.argv[1]); const fs = require('fs'); const count = () => fs.readdirSync('/proc/self/fd').length;
    native.openNetns(process.argv[2]).close(); const before = count();
    for (let i = 0; i < 200; i++) native.openNetns(process.argv[2]);
    const most = count();
    (async () => { for (let turn = 0; count() > before && turn < 100; turn++) { gc(); await new Promise((done) => setTimeout(done, 10)); }
      console.log(JSON.stringify([most - before > 100, count() - before])); })();`;
  const { stdout } = spawnSync(process.execPath, ['--expose-gc', '-e', script, addonPath(), lab.a.path], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toEqual([true, 0]);
});

test('worker threads read at the same time, and the addon outlives them', () => {
  const script = `const { Worker } = require('worker_threads');
    const work = 'const { workerData, parentPort } = require("worker_threads"); const handle = require(workerData[0]).openNetns(workerData[1]);' +
      'let good = 0; for (let i = 0; i < 300; i++) good += handle.readProcNet(["snmp"])[0].toString().startsWith("Ip:") ? 1 : 0; parentPort.postMessage(good)';
    const run = () => new Promise((done, failed) => new Worker(work, { eval: true, workerData: process.argv.slice(1) }).on('message', (good) => (sum += good)).on('error', failed).on('exit', done));
    let sum = 0;
    (async () => { await Promise.all([run(), run(), run()]); await run(); console.log(sum); })();`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script, addonPath(), lab.a.path], { encoding: 'utf8' });
  expect({ stdout, stderr, status }).toEqual({ stdout: '1200\n', stderr: '', status: 0 });
});

test('without CAP_SYS_ADMIN opening is refused, and the hint says what is missing', () => {
  const script = `try { require(process.argv[1]).openNetns(process.argv[2]) } catch (error) { console.log(JSON.stringify({ ...error, message: error.message })) }`;
  const { stdout } = spawnSync(
    'setpriv',
    ['--reuid=65534', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all', process.execPath, '-e', script, addonPath(), lab.a.path],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(stdout)).toMatchObject({ code: 'NATIVE_NETNS', errnoName: 'EPERM', hint: expect.stringContaining('CAP_SYS_ADMIN') });
});
