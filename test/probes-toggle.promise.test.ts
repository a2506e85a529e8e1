import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { probes } from '../bpf/registry.ts';
import type { Finding } from '../cli/finding.ts';
import type { ProbeRow } from '../cli/probe-rows.ts';
import { askControl, type ControlParams } from '../core/control.ts';
import { metrics } from '../schema/record.gen.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { type LabNetns, NetnsLab } from './lab/netns-lab.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import type { LiveCounter } from './support/live-run.ts';

const limitMs = 60_000;
const toggleRounds = 100;
const maxGrowthBytes = 64 * 2 ** 20;
let folder: TemporaryFolder;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  folder.remove();
});

/** What the hops of an agent say of their items. */
interface Hops {
  readonly collector: { readonly items: number; readonly skippedItems: number };
  readonly aggregator: readonly { readonly expectedItems: number; readonly gaps: number }[];
}

interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running agent of its own, and commands to it. */
async function agent(name: string, settings: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const dataDir = join(folder.path, name);
  const sets = ['metrics.listen=off', 'collector.cri.socket=off', ...settings].flatMap((one) => ['--set', one]);
  const running = new JitterscopeProcess(['run', '--data-dir', dataDir, ...sets], environment);
  ends.push(() => running.killHard());
  await eventually('it runs', () => {
    if (!running.running) throw new Error(`jitterscope run ended: ${running.stdout} ${running.stderr}`);
    return running.stdout.includes('npm run demo') || running.stdout.includes('Nothing is attached');
  });
  const command = async (...args: string[]): Promise<Said> => {
    const process = new JitterscopeProcess([...args, '--data-dir', dataDir]);
    const { code } = await process.finish(limitMs);
    return { code, stdout: process.stdout, stderr: process.stderr };
  };
  const list = async (): Promise<ProbeRow[]> => JSON.parse((await command('probes', 'list', '--json')).stdout) as ProbeRow[];
  const row = async (probe: string): Promise<ProbeRow | undefined> => (await list()).find((one) => one.name === probe);
  const ask = async (method: string, params: ControlParams = {}): Promise<unknown[]> => {
    const answers: unknown[] = [];
    for await (const answer of askControl(join(dataDir, 'control.sock'), method, params)) answers.push(answer);
    return answers;
  };
  /** What was counted in a namespace. */
  const counted = async (netns: LabNetns, metric: number): Promise<number> =>
    ((await ask('counters')) as LiveCounter[])
      .filter((counter) => counter.netns === netns.name && counter.metric === metric)
      .reduce((sum, { value }) => sum + value, 0);
  return { running, command, list, row, ask, counted };
}

kernelTest('probes are turned off, on and to one namespace while the agent runs, and orders expire without their command', async () => {
  const lab = new NetnsLab('-orders');
  ends.push(() => lab.remove());
  const { a, b } = lab;
  const { running, command, list, row, counted } = await agent('orders', []);
  let port = 20_000;
  const refuse = async (count: number): Promise<void> => {
    await lab.result(a, 'connect.mjs', a.ipv4, String(port), String(count), b.ipv4, '81');
    port += count;
  };
  const all = async () => ({
    sent: await counted(b, metrics.TCPRESET_SENT),
    received: await counted(a, metrics.TCPRESET_RECEIVED),
    failed: await counted(a, metrics.TCPLIFE_FAILED),
  });
  expect((await list()).filter(({ state }) => state !== 'enabled' && state !== 'degraded')).toEqual([]);
  await refuse(5);
  expect(await all()).toEqual({ sent: 5, received: 5, failed: 5 });

  // Off for a while: the command is gone, the order holds, and expires all the same.
  const off = await command('probes', 'disable', 'tcpreset', '--for', '1h');
  expect(off).toMatchObject({ code: 0, stderr: '' });
  expect(off.stdout).toMatch(/^disabled tcpreset: nothing is attached; \d+ events/);
  expect(off.stdout).toMatch(/until \d{4}-.*, then enabled for the whole node/);
  await refuse(3);
  expect(await all()).toEqual({ sent: 5, received: 5, failed: 8 });
  expect(await command('probes', 'enable', 'tcpreset')).toMatchObject({ code: 0 });
  expect(await command('probes', 'disable', 'tcpreset', '--for', '2s')).toMatchObject({ code: 0 });
  await eventually('the order has expired', async () => (await row('tcpreset'))?.state === 'enabled');
  expect((await row('tcpreset'))?.next).toBeUndefined();
  await refuse(2);
  expect(await all()).toEqual({ sent: 7, received: 7, failed: 10 });

  // For one namespace only, and the others of the probes go on as they were.
  expect(await command('probes', 'enable', 'tcpreset', '--netns', b.name)).toMatchObject({ code: 0 });
  expect(await row('tcpreset')).toMatchObject({ state: 'enabled', intent: { mode: 'listed', targets: [b.name] }, absent: [] });
  await refuse(4);
  expect(await all()).toEqual({ sent: 11, received: 7, failed: 14 });
  expect(await command('probes', 'enable', 'tcpreset', '--netns', a.name)).toMatchObject({ code: 0 });
  await refuse(1);
  expect(await all()).toEqual({ sent: 12, received: 8, failed: 15 });
  for (const { name } of [a, b]) expect(await command('probes', 'disable', 'tcpreset', '--netns', name)).toMatchObject({ code: 0 });
  expect(await row('tcpreset')).toMatchObject({ state: 'disabled', attached: [] });

  // All but one.
  expect(await command('probes', 'disable', 'tcplife', '--netns', a.name)).toMatchObject({ code: 0 });
  await refuse(6);
  expect(await all()).toEqual({ sent: 12, received: 8, failed: 15 });
  for (const probe of ['tcpreset', 'tcplife']) expect(await command('probes', 'enable', probe)).toMatchObject({ code: 0 });
  await refuse(1);
  expect(await all()).toEqual({ sent: 13, received: 9, failed: 16 });

  expect(await command('probes', 'enable', 'tcpreset', '--pod', 'shop/web-0')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/no Pod shop\/web-0 on this node/),
  });
  expect(running.running).toBe(true);
  expect((await running.stop()).code).toBe(143);
});

kernelTest(
  'what cannot be loaded or attached is told with its cause and remedy, by probes list and by doctor, and the agent runs on',
  async () => {
    const forced = 'attach:tcpreset_received,load:tcplife_state';
    const { running, command, list } = await agent('failing', ['collector.probes.tcpretrans.enabled=false'], {
      JITTERSCOPE_TEST_FAIL: forced,
    });
    const rows = new Map((await list()).map((one) => [one.name, one]));
    const problems = (what: string, program: string) => [
      { what, reason: expect.stringContaining(program), remedy: expect.stringMatching(/\w/) },
    ];
    expect(rows.get('tcpreset')).toMatchObject({
      state: 'degraded',
      attached: ['tcpreset_sent'],
      problems: problems('received resets', 'tcpreset_received'),
    });
    expect(rows.get('tcplife')).toMatchObject({
      state: 'failed',
      attached: [],
      problems: problems('connects and closed connections', 'tcplife_state'),
    });
    expect(rows.get('tcpretrans')).toMatchObject({ state: 'disabled', attached: [], problems: [] });
    expect(rows.get('packetloss')?.attached).not.toEqual([]);

    const doctor = await command('doctor', '--json');
    expect(doctor.code).toBe(1);
    const findings = (JSON.parse(doctor.stdout) as Finding[]).filter(({ area, state }) => area === 'probe' && state !== 'ok');
    expect(findings).toContainEqual({
      area: 'probe',
      what: 'tcpreset: received resets',
      state: 'degraded',
      found: expect.stringContaining('tcpreset_received'),
      remedy: expect.stringMatching(/\w/),
    });
    expect(findings).toContainEqual(expect.objectContaining({ what: 'tcplife: connects and closed connections', state: 'failed' }));

    const failing = await command('probes', 'enable', 'tcplife');
    expect(failing).toMatchObject({ code: 69, stderr: expect.stringMatching(/probe tcplife could not be started: .*tcplife_state/) });
    expect(await command('probes', 'enable', 'tcpretrans')).toMatchObject({ code: 0 });
    expect((await running.stop()).code).toBe(143);
  },
);

test.each([
  ['list', ['list']],
  ['enable', ['enable', 'tcpreset']],
])('probes %s where nothing runs says so', async (_, args) => {
  const process = new JitterscopeProcess(['probes', ...args, '--data-dir', join(folder.path, 'none')]);
  expect((await process.finish(limitMs)).code).toBe(75);
  expect(process.stderr).toMatch(/no jitterscope answers at .*control\.sock/);
});

/** What a process holds: descriptors of BPF by kind, and memory. */
function heldBy(pid: number): { readonly bpf: Readonly<Record<string, number>>; readonly descriptors: number; readonly rssBytes: number } {
  const bpf = { programs: 0, links: 0, maps: 0 };
  let descriptors = 0;
  for (const descriptor of readdirSync(`/proc/${pid}/fdinfo`)) {
    let text = '';
    try {
      text = readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8');
    } catch {
      // Closed meanwhile.
      continue;
    }
    descriptors++;
    if (/^link_id:/m.test(text)) bpf.links++;
    else if (/^prog_id:/m.test(text)) bpf.programs++;
    if (/^map_id:/m.test(text)) bpf.maps++;
  }
  const [, rssKiB] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return { bpf, descriptors, rssBytes: Number(rssKiB) * 1024 };
}

kernelTest('an agent whose probes are all toggled 100 times under traffic loses nothing and keeps nothing', async () => {
  const lab = new NetnsLab('-agent');
  ends.push(() => lab.remove());
  const { a, b } = lab;
  const { running, ask } = await agent('toggled', []);
  await lab.start(b, 'busy-server.mjs').line();
  const client = lab.start(a, 'mixed-client.mjs', b.ipv4, '5');
  await client.line();
  let before: ReturnType<typeof heldBy> | undefined;
  for (let round = 0; round < toggleRounds; round++) {
    if (round === 5) before = heldBy(running.pid);
    for (const enable of [false, true])
      for (const { name } of probes) {
        const [after] = (await ask('order-probe', { name, enable })) as ProbeRow[];
        expect(after.attached.length > 0).toBe(enable);
      }
  }
  await client.stop();
  const after = heldBy(running.pid);
  expect(after.bpf).toEqual(before?.bpf);
  // Namespaces come and go on the machine, and each is held by a descriptor.
  expect(after.descriptors).toBeLessThan((before?.descriptors ?? 0) + 50);
  const growthBytes = after.rssBytes - (before?.rssBytes ?? 0);
  expect(growthBytes).toBeLessThan(maxGrowthBytes);

  for (const { name } of probes) await ask('order-probe', { name, enable: false });
  const rows = (await ask('probes')) as ProbeRow[];
  const [emitted, lost] = [
    rows.reduce((sum, { events }) => sum + events.emitted, 0),
    rows.reduce((sum, { events }) => sum + events.lost, 0),
  ];
  expect(emitted).toBeGreaterThan(0);
  // Every record that the kernel emitted has a number, and arrived.
  const hops = async (): Promise<Hops> => ((await ask('dispositions')) as [Hops])[0];
  await eventually('all records have arrived', async () => (await hops()).aggregator[0].expectedItems >= emitted);
  expect(await hops()).toMatchObject({ collector: { items: emitted, skippedItems: 0 }, aggregator: [{ expectedItems: emitted, gaps: 0 }] });
  process.stdout.write(
    `toggle of an agent: ${toggleRounds} rounds, ${emitted} records emitted and numbered, ${lost} lost for want of room, ${JSON.stringify(after.bpf)}, memory ${Math.round(growthBytes / 1024)} KiB more\n`,
  );
  expect((await running.stop()).code).toBe(143);
});
