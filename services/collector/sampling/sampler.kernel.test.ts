import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { createLog, LogLimiter } from '../../../core/log.ts';
import type { Native, NetnsHandle } from '../../../native/addon.ts';
import { loadNative } from '../../../native/index.ts';
import { eventually } from '../../../test/lab/eventually.ts';
import { kernelTest } from '../../../test/lab/kernel-tier.ts';
import { type LabNetns, labInterface, NetnsLab } from '../../../test/lab/netns-lab.ts';
import { SampleLedger } from '../../../test/support/sample-ledger.ts';
import { emptyCollectorMetrics } from '../metrics.ts';
import { Baselines } from '../sources/baselines.ts';
import { Sampler } from './sampler.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-sampler-'));
let native: Native;
let lab: NetnsLab;
let run: ReturnType<typeof samplerOf>;

beforeAll(() => {
  if (process.getuid?.() === 0) native = loadNative();
});
beforeEach(() => {
  lab = new NetnsLab('-sampler');
  run = samplerOf();
});
afterEach(async () => {
  run.sampler.stop();
  await lab.remove();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function samplerOf() {
  const ledger = new SampleLedger();
  const metrics = emptyCollectorMetrics();
  const sampler = new Sampler({
    native,
    baselines: new Baselines(join(folder, 'baselines.json'), 'boot'),
    metrics,
    log: createLog('silent'),
    limiter: new LogLimiter(),
    intervalMs: 100,
    bootNs: () => Number(native.clocks().bootNs),
    ship: ({ samples }) => samples && ledger.take(samples),
    counters: () => [],
    cgroups: () => [],
  });
  return { sampler, ledger, metrics: metrics.sampling };
}

const cookieOf = ({ path }: LabNetns): number => Number(native.netnsCookie(path));
const live = (...namespaces: LabNetns[]) =>
  namespaces.map((netns) => ({ cookie: cookieOf(netns), inode: statSync(netns.path).ino, path: netns.path }));
/** Waits until a cycle that began later than now has ended. */
const nextCycle = async (): Promise<void> => {
  const from = run.ledger.cycles;
  await eventually('a whole cycle has passed', () => run.ledger.cycles >= from + 2);
};
const told = (source: string, cookie: number, labels = {}) => Object.fromEntries(run.ledger.target(source, cookie, labels)?.values ?? []);
/** Datagrams to a closed port: each is answered by an ICMP message of type 3. */
const knock = (from: LabNetns, to: LabNetns, count: number) =>
  lab.run(
    from,
    process.execPath,
    '-e',
    `const socket = require('dgram').createSocket('udp4'); let sent = 0; const send = () => sent++ < ${count} ? socket.send('x', 9, '${to.ipv4}', () => setTimeout(send, 5)) : socket.close(); send();`,
  );
/** Descriptors of network namespaces that this process holds. */
const heldNamespaces = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^net:|\/netns\//.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;

kernelTest('every counter of a namespace is told as the kernel has it', async () => {
  const { a, b } = lab;
  run.sampler.follow(live(a, b));
  run.sampler.start();
  await nextCycle();
  knock(a, b, 5);
  await lab.result(a, 'connect.mjs', a.ipv4, '20000', '7', b.ipv4, '81');
  await nextCycle();
  for (const netns of [a, b]) {
    const cookie = cookieOf(netns);
    await eventually('samples and kernel agree', () => {
      const equal = (told: Record<string, number>, kernel: ReadonlyMap<string, number>): boolean =>
        kernel.size > 0 && [...kernel].every(([field, value]) => told[field] === value);
      return equal(told('snmp', cookie), lab.snmp(netns)) && equal(told('netstat', cookie), lab.netstat(netns));
    });
  }
  expect(told('snmp', cookieOf(b))).toMatchObject({ 'Tcp.OutRsts': 7, 'IcmpMsg.OutType3': 5, 'Udp.NoPorts': 5 });
  expect(told('snmp', cookieOf(a))).toMatchObject({ 'Tcp.AttemptFails': 7, 'IcmpMsg.InType3': 5 });
  expect(run.ledger.problems).toEqual([]);
  expect(run.metrics.failures).toBe(0);
});

kernelTest('a device that is made anew under the same name begins anew', async () => {
  const { a, b } = lab;
  const cookie = cookieOf(a);
  run.sampler.follow(live(a, b));
  run.sampler.start();
  knock(a, b, 9);
  const packets = (): number => Number(told('netdev', cookie, { device: labInterface })['Transmit.packets']);
  await eventually('the device counts', () => packets() >= 9);
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('-n', a.name, 'link', 'delete', labInterface);
  ip('link', 'add', labInterface, 'netns', a.name, 'type', 'veth', 'peer', 'name', labInterface, 'netns', b.name);
  await nextCycle();
  expect(packets()).toBe(0);
  ip('-n', a.name, 'link', 'delete', labInterface);
  await eventually('its end is told', () => run.ledger.target('netdev', cookie, { device: labInterface })?.ended === true);
  expect(run.metrics.resets).toBe(0);
  expect(run.ledger.problems).toEqual([]);
});

kernelTest('what a namespace counted at last is told once it has no name, and it is let go', async () => {
  const { a, b } = lab;
  const before = heldNamespaces();
  run.sampler.follow(live(a, b));
  run.sampler.start();
  await nextCycle();
  expect(heldNamespaces()).toBe(before + 2);
  const cookie = cookieOf(b);
  knock(a, b, 3);
  const kernel = lab.snmp(b);
  execFileSync('ip', ['netns', 'delete', b.name]);
  run.sampler.retire([cookie], []);
  await eventually('the end is told', () => run.ledger.target('snmp', cookie)?.ended === true);
  for (const [field, value] of kernel) expect(told('snmp', cookie)[field], field).toBe(value);
  for (const target of run.ledger.targets()) if (target.netns === cookie) expect(target.ended, target.source).toBe(true);
  expect(heldNamespaces()).toBe(before + 1);
  run.sampler.stop();
  expect(heldNamespaces()).toBe(before);
  expect(run.ledger.problems).toEqual([]);
});

kernelTest('a path that leads into another namespace by now is not read as the one that is gone', async () => {
  const { a, b } = lab;
  run.sampler.follow([{ cookie: cookieOf(a), inode: statSync(a.path).ino, path: b.path }]);
  run.sampler.start();
  await nextCycle();
  expect(run.metrics.netns).toBe(0);
  run.sampler.retire([cookieOf(a)], []);
  await nextCycle();
  expect(run.ledger.unseenNetns).toBe(1);
  expect([...run.ledger.targets()].filter(({ netns }) => netns !== 0)).toEqual([]);
});

kernelTest('the accept queue of a server that does not accept is told by port', async () => {
  const { b } = lab;
  const server = lab.start(b, 'sink-server.mjs', b.ipv4, '8080', '3');
  await server.line();
  run.sampler.follow(live(b));
  run.sampler.start();
  const cookie = cookieOf(b);
  await eventually('the port is told', () => run.ledger.target('sockdiag', cookie, { port: '8080' }) !== undefined);
  expect(told('sockdiag', cookie, { port: '8080' })).toMatchObject({ 'accept_queue.limit': 3, 'accept_queue.listeners': 1 });
  await server.stop();
  await eventually('the end is told', () => run.ledger.target('sockdiag', cookie, { port: '8080' })?.ended === true);
});

kernelTest('a keyframe is followed by all of each target, and by no layout that was not told again', async () => {
  run.sampler.follow(live(lab.a, lab.b));
  run.sampler.start();
  await nextCycle();
  const reader = new SampleLedger();
  const from = run.ledger.cycles;
  const take = run.ledger.take.bind(run.ledger);
  run.ledger.take = (samples) => {
    take(samples);
    reader.take(samples);
  };
  run.sampler.keyframe();
  await eventually('the full cycle has ended', () => run.ledger.cycles >= from + 2);
  expect(reader.problems).toEqual([]);
  expect([...reader.targets()].length).toBe([...run.ledger.targets()].length);
  for (const { values, netns, source, labels } of run.ledger.targets())
    expect(reader.target(source, netns, labels)?.values.size, source).toBe(values.size);
});

kernelTest('the node is told by CPU, and a restart goes on from where the last one was', async () => {
  run.sampler.start();
  await nextCycle();
  run.sampler.stop();
  const cpus = readFileSync('/proc/net/softnet_stat', 'latin1').trimEnd().split('\n').length;
  expect([...run.ledger.targets()].filter(({ source }) => source === 'softnet')).toHaveLength(cpus);
  const kept = JSON.parse(readFileSync(join(folder, 'baselines.json'), 'utf8')) as { targets: Record<string, unknown> };
  expect(Object.keys(kept.targets)).toHaveLength(cpus);
  const packets = (): number => Number(told('softnet', 0, { cpu: '0' }).processed);
  const before = packets();
  run = samplerOf();
  run.sampler.start();
  await nextCycle();
  expect(packets()).toBeGreaterThanOrEqual(before);
});

kernelTest('a namespace that cannot be read is a counted failure, and the others are read', async () => {
  const broken: NetnsHandle = {
    inode: 1,
    cookie: 77,
    readProcNet: () => {
      throw new Error('it cannot be entered');
    },
    dump: () => Buffer.alloc(0),
    close: () => undefined,
  };
  const real = native;
  native = { ...native, openNetns: (path) => (path === 'broken' ? broken : real.openNetns(path)) };
  try {
    run = samplerOf();
    run.sampler.follow([{ cookie: 77, inode: 1, path: 'broken' }, ...live(lab.a)]);
    run.sampler.start();
    await nextCycle();
    expect(run.metrics.failures).toBeGreaterThan(0);
    expect(run.ledger.target('snmp', cookieOf(lab.a))).toBeDefined();
  } finally {
    native = real;
  }
});
