import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { labInterface, NetnsLab } from '../test/lab/netns-lab.ts';
import { addonPath, loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const NETLINK_ROUTE = 0;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
let lab: NetnsLab;

beforeAll(() => {
  lab = new NetnsLab('-native');
});
afterAll(() => lab.remove());

/** A message with a struct ifinfomsg (rtnetlink(7)). */
function linkRequest(flags: number, index = 0, type = RTM_GETLINK): Buffer {
  const request = Buffer.alloc(32);
  request.writeUInt32LE(32, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  request.writeUInt32LE(1, 8);
  request.writeInt32LE(index, 20);
  return request;
}

/** Type and IFLA_IFNAME of each message of an answer. */
function linksOf(answer: Buffer): { type: number; name: string }[] {
  const links = [];
  for (let at = 0; at < answer.length; ) {
    const length = answer.readUInt32LE(at);
    let name = '';
    for (let attribute = at + 32; attribute < at + length; attribute += (answer.readUInt16LE(attribute) + 3) & ~3)
      if (answer.readUInt16LE(attribute + 2) === 3)
        name = answer.toString('latin1', attribute + 4, attribute + answer.readUInt16LE(attribute) - 1);
    links.push({ type: answer.readUInt16LE(at + 4), name });
    at += (length + 3) & ~3;
  }
  return links;
}

test('a dump holds the answers of that namespace, and this process stays where it is', () => {
  const here = readlinkSync('/proc/self/ns/net');
  // The first one starts the thread that enters namespaces.
  native.netnsCookie(lab.a.path);
  const before = [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length];
  const links = linksOf(native.netlinkDump(lab.a.path, NETLINK_ROUTE, linkRequest(NLM_F_DUMP)));
  expect(links).toEqual(
    expect.arrayContaining([
      { type: RTM_NEWLINK, name: 'lo' },
      { type: RTM_NEWLINK, name: labInterface },
    ]),
  );
  expect(links.every(({ type }) => type === RTM_NEWLINK)).toBe(true);
  for (let turn = 0; turn < 50; turn++) native.netlinkDump(lab.b.path, NETLINK_ROUTE, linkRequest(NLM_F_DUMP));
  const after = [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length];
  expect(after[0]).toBe(before[0]);
  // Node's own pool may start threads meanwhile; one left behind by each dump would be fifty.
  expect(after[1] - before[1]).toBeLessThan(5);
  expect(readlinkSync('/proc/self/ns/net')).toBe(here);
});

test('a single answer ends by itself, or by its acknowledgement', () => {
  for (const flags of [0, NLM_F_ACK])
    expect(linksOf(native.netlinkDump(lab.a.path, NETLINK_ROUTE, linkRequest(flags, 1)))).toEqual([{ type: RTM_NEWLINK, name: 'lo' }]);
});

test.each<[string, () => unknown, string]>([
  ['an interface that is not there', () => native.netlinkDump(lab.a.path, NETLINK_ROUTE, linkRequest(0, 9999)), 'ENODEV'],
  ['a message that the kernel does not know', () => native.netlinkDump(lab.a.path, NETLINK_ROUTE, linkRequest(0, 0, 4000)), 'EOPNOTSUPP'],
  ['a protocol that the kernel does not have', () => native.netlinkDump(lab.a.path, 31, linkRequest(0)), 'EPROTONOSUPPORT'],
  ['a request without an answer', () => native.netlinkDump(lab.a.path, NETLINK_ROUTE, linkRequest(0, 0, 1)), 'ETIMEDOUT'],
  ['a namespace that is gone', () => native.netlinkDump('/run/netns/jitterscope-none', NETLINK_ROUTE, linkRequest(0)), 'ENOENT'],
  ['a file that is no namespace', () => native.netnsCookie('/proc/version'), 'EINVAL'],
  ['a namespace of another kind', () => native.netnsCookie('/proc/self/ns/uts'), 'EINVAL'],
])('%s is said with its errno', (_, act, errnoName) => {
  expect(act).toThrow(expect.objectContaining({ code: 'NATIVE_NETNS', errnoName, hint: expect.stringMatching(/.+/) }));
});

test('each namespace has its own cookie, the one that the kernel itself holds', () => {
  const here = native.netnsCookie('/proc/self/ns/net');
  const cookies = [here, native.netnsCookie(lab.a.path), native.netnsCookie(lab.b.path)];
  expect(new Set(cookies).size).toBe(3);
  expect(native.netnsCookie(lab.a.path)).toBe(cookies[1]);
  const object = native.openObject('netns', readBpfObject('netns'));
  object.load();
  const rows = object.iterate('netns_list');
  object.close();
  const own = Array.from({ length: rows.length / 32 }, (_, row) => rows.subarray(row * 32)).find(
    (row) => row.readUInt32LE(12) === process.pid,
  );
  expect(own?.readBigUInt64LE()).toBe(here);
});

test('without CAP_SYS_ADMIN the hint says that it is missing', () => {
  const script = `try { require(process.argv[1]).netnsCookie(process.argv[2]) } catch (error) { console.log(JSON.stringify({ ...error })) }`;
  const { stdout } = spawnSync(
    'setpriv',
    ['--bounding-set=-sys_admin', '--inh-caps=-all', process.execPath, '-e', script, addonPath(), lab.a.path],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(stdout)).toMatchObject({ code: 'NATIVE_NETNS', errnoName: 'EPERM', hint: expect.stringContaining('CAP_SYS_ADMIN') });
});
