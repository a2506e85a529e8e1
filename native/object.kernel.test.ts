import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import type { BpfObject } from './addon.ts';
import { addonPath, bpfObjectPath, loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const opened: BpfObject[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

const nothing = new Uint8Array(0);

function open(): BpfObject {
  const object = native.openObject('lifecycle', readBpfObject('test/lifecycle'));
  opened.push(object);
  return object;
}

function loaded(): BpfObject {
  const object = open();
  object.load();
  return object;
}

const switchesOf = (object: BpfObject) => object.readData('.bss').readBigUInt64LE();
const descriptors = () => readdirSync('/proc/self/fd').length;

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited for 60 s');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('programs are listed with their sections', () => {
  expect(open().programs()).toEqual(
    expect.arrayContaining([
      { name: 'count_switches', section: 'tp_btf/sched_switch' },
      { name: 'list_maps', section: 'iter/bpf_map' },
      { name: 'refused', section: 'syscall' },
    ]),
  );
});

test('a program counts while it is attached, and only then, a hundred times, and nothing leaks', async () => {
  const object = loaded();
  object.attach('count_switches');
  object.detach('count_switches');
  const before = descriptors();
  for (let turn = 0; turn < 100; turn++) {
    expect(object.attached('count_switches')).toBe(false);
    object.attach('count_switches');
    object.attach('count_switches');
    expect(object.attached('count_switches')).toBe(true);
    const start = switchesOf(object);
    await until(() => switchesOf(object) > start);
    object.detach('count_switches');
    object.detach('count_switches');
  }
  expect(descriptors()).toBe(before);
  const end = switchesOf(object);
  await new Promise((resolve) => setTimeout(resolve, 20));
  // One switch may have been on its way through the program.
  expect(switchesOf(object) - end).toBeLessThanOrEqual(2n);
});

test('objects leave no descriptor behind, closed while attached, twice', () => {
  const before = descriptors();
  for (let turn = 0; turn < 10; turn++) {
    const object = loaded();
    object.attach('count_switches');
    object.startReader('events', { drainMs: 10, chunkBytes: 4096, maxChunks: 2 }, () => {});
    object.close();
    object.close();
    expect(() => object.programs()).toThrow(expect.objectContaining({ code: 'NATIVE_ARGUMENT', errnoName: 'EBADF' }));
  }
  expect(descriptors()).toBe(before);
});

test('a worker that is terminated while its programs are attached and its ring is read leaves nothing', async () => {
  const body = `
    const { parentPort, workerData } = require('node:worker_threads');
    const object = require(workerData.addon).openObject('lifecycle', require('node:fs').readFileSync(workerData.object));
    object.load();
    object.attach('count_switches');
    object.startReader('events', { drainMs: 1, chunkBytes: 256, maxChunks: 1 }, () => parentPort.postMessage('reading'));
    for (let i = 0; i < 20; i++) object.testRun('emit_odd', new Uint8Array(0));
    setTimeout(() => {}, 60000);
  `;
  const workerData = { addon: addonPath(), object: bpfObjectPath('test/lifecycle') };
  const count = () => [descriptors(), readdirSync('/proc/self/task').length];
  let before: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    const worker = new Worker(body, { eval: true, workerData });
    await once(worker, 'message');
    await worker.terminate();
    if (turn === 0) before = count();
  }
  const after = count();
  expect(after[0]).toBe(before[0]);
  // Node's own pool may start a thread meanwhile; one that each worker left behind would be five.
  expect(after[1] - before[1]).toBeLessThan(5);
});

test('settings are read, and changed at once', () => {
  const object = loaded();
  expect(object.readData('.data.settings')).toEqual(Buffer.from([11, 0, 0, 0, 22, 0, 0, 0]));
  expect(object.testRun('read_settings', nothing)).toBe(11_022);
  object.writeData('.data.settings', 4, Buffer.from([33, 0, 0, 0]));
  expect(object.testRun('read_settings', nothing)).toBe(11_033);
  object.writeData('.data.settings', 0, Buffer.from([1]));
  object.writeData('.data.settings', 8, nothing);
  expect(object.testRun('read_settings', nothing)).toBe(1033);
  expect(object.readData('.data.settings')).toEqual(Buffer.from([1, 0, 0, 0, 33, 0, 0, 0]));
});

test.each<[string, (object: BpfObject) => unknown, string, RegExp]>([
  [
    'writing behind a section',
    (object) => object.writeData('.data.settings', 6, new Uint8Array(3)),
    'NATIVE_ARGUMENT',
    /3 bytes at 6 do not fit into the 8 bytes/,
  ],
  [
    'an offset behind a section',
    (object) => object.writeData('.data.settings', 9, nothing),
    'NATIVE_ARGUMENT',
    /offset must be a whole number from 0 to 8/,
  ],
  ['a section that is not there', (object) => object.readData('.data.none'), 'NATIVE_ARGUMENT', /no section .data.none/],
  ['a program that is not there', (object) => object.attach('none'), 'NATIVE_ARGUMENT', /no program none/],
  ['a map that is not there', (object) => object.readMap('none'), 'NATIVE_ARGUMENT', /no map none/],
  ['attaching what is not loaded', (object) => object.attach('refused'), 'NATIVE_ATTACH', /refused of lifecycle: it is not loaded/],
  ['attaching what has no hook', (object) => object.attach('read_settings'), 'NATIVE_ATTACH', /Cannot attach read_settings/],
  ['iterating what is no iterator', (object) => object.iterate('read_settings'), 'NATIVE_RUN', /Cannot attach iterator/],
  ['running an iterator', (object) => object.testRun('list_maps', nothing), 'NATIVE_RUN', /Cannot run list_maps/],
  ['loading again', (object) => object.load(), 'NATIVE_LOAD', /loaded already/],
  ['selecting after load', (object) => object.setAutoload('refused', true), 'NATIVE_LOAD', /before load/],
  ['sizing after load', (object) => object.setMapEntries('entries', 7), 'NATIVE_MAP', /before load/],
])('%s is refused with its reason', (_, act, code, message) => {
  const object = loaded();
  expect(() => act(object)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

test('what needs a loaded object says so', () => {
  const object = open();
  for (const act of [() => object.readMap('entries'), () => object.readData('.bss')])
    expect(act).toThrow(expect.objectContaining({ code: 'NATIVE_MAP', message: expect.stringContaining('lifecycle is not loaded') }));
});

test('a program that the verifier refuses shows why, in its own last lines', () => {
  const object = open();
  object.setAutoload('refused', true);
  expect(() => object.load()).toThrow(
    expect.objectContaining({
      code: 'NATIVE_LOAD',
      errnoName: 'EACCES',
      log: expect.stringMatching(/return \*value;[\s\S]*R0 invalid mem access 'map_value_or_null'[\s\S]*failed to load object/),
      hint: expect.stringContaining('verifier'),
    }),
  );
});

test('a hook that this kernel lacks is named, and the rest loads without it', () => {
  const object = open();
  object.setAutoload('no_such_hook', true);
  expect(() => object.load()).toThrow(
    expect.objectContaining({
      code: 'NATIVE_LOAD',
      log: expect.stringContaining('jitterscope_no_such_tracepoint'),
      hint: expect.stringContaining('lacks the hook'),
    }),
  );
  expect(loaded().testRun('read_settings', nothing)).toBe(11_022);
});

test('the log of one failure is not that of the next', () => {
  const object = open();
  object.setAutoload('refused', true);
  expect(() => object.load()).toThrow();
  expect(() => loaded().attach('refused')).toThrow(expect.objectContaining({ log: '' }));
});

test('an iterator is read to its end, however much it writes', () => {
  const object = loaded();
  const ids = new Set(new Uint32Array(new Uint8Array(object.iterate('list_maps')).buffer));
  expect(ids.size).toBeGreaterThanOrEqual(5);
  const repeatAt = object.readData('.data').indexOf(1);
  object.writeData('.data', repeatAt, new Uint8Array(new Uint32Array([500]).buffer));
  const many = new Uint32Array(new Uint8Array(object.iterate('list_maps')).buffer);
  expect(many.length).toBeGreaterThanOrEqual(5 * 8000);
  expect(many.length % 8000).toBe(0);
  // Maps of other processes come and go meanwhile.
  object.writeData('.data', repeatAt, new Uint8Array(new Uint32Array([1]).buffer));
  const after = new Set(new Uint32Array(new Uint8Array(object.iterate('list_maps')).buffer));
  const lasting = [...ids].filter((id) => after.has(id));
  expect(lasting.length).toBeGreaterThan(0);
  for (const id of lasting) expect(many).toContain(id);
});

test('what a program writes into its context comes back', () => {
  const object = loaded();
  const context = new BigUint64Array([5n, 9n, 0n]);
  expect(object.testRun('add_per_cpu', new Uint8Array(context.buffer))).toBe(0);
  expect(context[2]).toBe(9n);
});

test('the kernel says what its tracepoints, enums and structs have', () => {
  expect(native.tracepointArgs('tcp_send_reset')).toBeGreaterThanOrEqual(2);
  expect(native.tracepointArgs('sched_switch')).toBeGreaterThanOrEqual(3);
  expect(native.tracepointArgs('jitterscope_no_such_tracepoint')).toBeUndefined();
  expect(native.enumValues('bpf_map_type')).toEqual(expect.arrayContaining([[27, 'BPF_MAP_TYPE_RINGBUF']]));
  expect(native.enumValues('jitterscope_no_such_enum')).toBeUndefined();
  expect(native.hasMember('sock', '__sk_common')).toBe(true);
  expect(native.hasMember('iphdr', 'saddr'), 'inside an anonymous union').toBe(true);
  expect(native.hasMember('sock', 'jitterscope_no_such_member')).toBe(false);
  expect(native.hasMember('jitterscope_no_such_struct', 'x')).toBe(false);
});

test.each([
  ['-all', 'Missing capability CAP_BPF and CAP_PERFMON'],
  ['-all,+bpf', 'Missing capability CAP_PERFMON'],
  ['-all,+perfmon', 'Missing capability CAP_BPF:'],
])('without the capabilities (%s) the hint names those that are missing', (bounding, hint) => {
  const script = `
    const object = require(process.argv[1]).openObject('lifecycle', require('node:fs').readFileSync(process.argv[2]));
    try { object.load(); } catch (error) { console.log(JSON.stringify({ ...error })); }`;
  const { stdout, stderr } = spawnSync(
    'setpriv',
    [`--bounding-set=${bounding}`, '--inh-caps=-all', process.execPath, '-e', script, addonPath(), bpfObjectPath('test/lifecycle')],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ code: 'NATIVE_LOAD', errnoName: 'EPERM', hint: expect.stringContaining(hint) });
});

test('a profiler that interrupts the verifier ten thousand times a second keeps no program from being loaded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-profile-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const code = `
    const native = require(${JSON.stringify(addonPath())});
    const object = native.openObject('packetloss', require('fs').readFileSync(${JSON.stringify(bpfObjectPath('packetloss'))}));
    object.load();
    console.log(object.programs().length > 0);`;
  const profiler = ['--cpu-prof', '--cpu-prof-interval', '100', '--cpu-prof-dir', folder];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...profiler, '-e', code], { encoding: 'utf8' });
  expect([status, stdout, stderr]).toEqual([0, 'true\n', '']);
});
