import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect } from 'vitest';
import type { Finding } from '../cli/finding.ts';
import { CaptureWriter } from '../core/capture.ts';
import { askControl } from '../core/control.ts';
import { loadNative } from '../native/index.ts';
import { metrics } from '../schema/record.gen.ts';
import { encodeTick } from '../services/gateway/raw-encoder.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import type { LiveCounter } from './support/live-run.ts';
import { folderOfUser, withOnly } from './support/privileges.ts';

const limitMs = 60_000;
const shippedDemo = fileURLToPath(new URL('../examples/captures/demo.jscap.gz', import.meta.url));
let folder: ReturnType<typeof folderOfUser> | undefined;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  if (process.getuid?.() === 0) folder = folderOfUser();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  folder?.remove();
});

/** Runs a command to its end, with these capabilities and no others. */
async function command(capabilities: readonly string[], ...args: string[]) {
  const started = new JitterscopeProcess(args, { JITTERSCOPE_METRICS__LISTEN: 'off' }, withOnly(capabilities));
  const { code } = await started.finish(limitMs);
  expect(started.stderr + started.stdout).not.toMatch(/^\s+at .*:\d+|This is a defect|UnhandledPromise/m);
  return { code, stdout: started.stdout, stderr: started.stderr };
}

const dataDir = (name: string): string => join(folder?.path ?? '', name);

kernelTest('with CAP_BPF and CAP_PERFMON alone the probes see and count, and what does not work is told with what it lacks', async () => {
  const lab = new NetnsLab('-few');
  ends.push(() => lab.remove());
  const held = ['bpf', 'perfmon'];
  const running = new JitterscopeProcess(
    ['run', '--data-dir', dataDir('few'), '--set', 'collector.cri.socket=off'],
    { JITTERSCOPE_METRICS__LISTEN: 'off' },
    withOnly(held),
  );
  ends.push(() => running.killHard());
  await eventually('the probes are attached', () => {
    if (!running.running) throw new Error(`jitterscope run ended: ${running.stdout} ${running.stderr}`);
    return running.stdout.includes('Waiting for events');
  });
  expect(running.stdout).toMatch(/enabled +tcpreset: tcpreset_sent, tcpreset_received/);
  expect(running.stdout).toMatch(/namespaces: .*Missing capability CAP_SYS_ADMIN/);

  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '20000', '20', lab.b.ipv4, '81');
  const sent = Number(loadNative().netnsCookie(lab.b.path));
  let counted = 0;
  for await (const answer of askControl(join(dataDir('few'), 'control.sock'), 'counters')) {
    const { net, metric, value } = answer as LiveCounter;
    if (net === sent && metric === metrics.TCPRESET_SENT) counted += value;
  }
  expect(counted).toBe(20);
  const socket = join(dataDir('few'), 'control.sock');
  await eventually('they became events', async () => {
    for await (const answer of askControl(socket, 'dispositions'))
      return ((answer as { aggregator: { events: number }[] }).aggregator[0]?.events ?? 0) >= 20;
    return false;
  });

  await eventually('the counters of the own namespace are read', async () => {
    for await (const answer of askControl(socket, 'dispositions'))
      return ((answer as { collector: { sampling: { netns: number } } }).collector.sampling.netns ?? 0) === 1;
    return false;
  });

  const { code, stdout } = await command(held, 'doctor', '--json', '--data-dir', dataDir('few'), '--set', 'collector.cri.socket=off');
  const findings = JSON.parse(stdout) as Finding[];
  const found = (area: Finding['area'], what: RegExp): Finding | undefined =>
    findings.find((one) => one.area === area && what.test(one.what));
  expect(code, 'counters of namespaces were asked for').toBe(1);
  for (const [what, state] of [
    ['CAP_BPF', 'ok'],
    ['CAP_PERFMON', 'ok'],
    ['CAP_SYS_ADMIN', 'failed'],
    ['CAP_NET_ADMIN', 'degraded'],
    ['CAP_SYS_PTRACE', 'degraded'],
    ['CAP_SYSLOG', 'degraded'],
  ] as const)
    expect(found('privilege', new RegExp(`^${what}$`)), what).toMatchObject({
      state,
      ...(state === 'ok' ? {} : { remedy: expect.stringContaining(what) }),
    });
  expect(found('probe', /^tcpreset: tcpreset_sent$/)).toMatchObject({ state: 'ok', found: `attached by process ${running.pid}` });
  expect(found('probe', /^packetloss: names of the places/)).toMatchObject({
    state: 'degraded',
    remedy: expect.stringContaining('CAP_SYSLOG'),
  });
  for (const area of ['source', 'identity'] as const)
    expect(found(area, /other namespaces/)).toMatchObject({ state: 'failed', remedy: expect.stringContaining('CAP_SYS_ADMIN') });
  for (const source of ['snmp', 'netstat', 'sockdiag', 'softnet'])
    expect(found('source', new RegExp(`^${source}$`))).toMatchObject({ state: 'ok' });
  // A kernel that tracks no connections has nothing to ask for.
  const conntrack = found('identity', /conntrack/);
  if (conntrack?.state !== 'ok') expect(conntrack).toMatchObject({ state: 'degraded', remedy: expect.stringContaining('CAP_NET_ADMIN') });
  for (const { what, state, remedy } of findings) if (state !== 'ok') expect(remedy, what).toMatch(/\w/);
  expect(found('data', /^spool$/)?.found).toMatch(
    /of 512 MiB; (at the .*\/s of the last \d+ s it lasts .* without the gateway|nothing came)/,
  );
  expect((await running.stop()).code).toBe(143);
});

kernelTest.each([
  ['no capability', [], /Missing capability CAP_BPF and CAP_PERFMON/],
  ['CAP_BPF alone', ['bpf'], /Missing capability CAP_PERFMON/],
  ['CAP_PERFMON alone', ['perfmon'], /Missing capability CAP_BPF/],
])('with %s a run ends with 77 and says what it lacks', async (name, held, says) => {
  const { code, stderr } = await command(held, 'run', '--data-dir', dataDir(name.replaceAll(' ', '-')), '--duration', '30s');
  expect(stderr).toMatch(says);
  expect(stderr).toMatch(/jitterscope replay/);
  expect(code).toBe(77);
});

kernelTest('a run of which no probe is asked needs no privilege', async () => {
  const off = ['tcpreset', 'tcpretrans', 'packetloss', 'tcplife', 'tcpaccept'].flatMap((probe) => [
    '--set',
    `collector.probes.${probe}.enabled=false`,
  ]);
  const { code, stdout } = await command([], 'run', '--data-dir', dataDir('off'), '--duration', '1s', ...off);
  expect(stdout).toMatch(/disabled +tcpreset/);
  expect(code).toBe(0);
});

kernelTest('replay and demo need no privilege', async () => {
  const capture = join(folder?.path ?? '', 'small.jscap');
  const writer = new CaptureWriter(capture);
  for (let n = 1; n < 4; n++) await writer.write(encodeTick(n));
  await writer.close();
  expect(await command([], 'replay', capture, '--data-dir', dataDir('replay'))).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/3 messages/),
  });
  if (existsSync(shippedDemo)) expect(await command([], 'demo', '--data-dir', dataDir('demo'))).toMatchObject({ code: 0 });
});
