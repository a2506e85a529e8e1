import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { entityOf, type FindingDocument, findingsIn } from './support/findings.ts';
import { LiveRun } from './support/live-run.ts';
import { patiently } from './support/patiently.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const limitMs = 120_000;
let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-off');
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

function jitterscope(...args: string[]): string {
  const env = { ...process.env, NO_COLOR: '1' };
  return spawnSync(process.execPath, [program, ...args, '--data-dir', folder.path], { encoding: 'utf8', env }).stdout;
}

kernelTest(
  'a probe that is turned off ends its findings without data, says how to turn it on, and finds again once it is on',
  async () => {
    const { a, b } = lab as NetnsLab;
    run = await LiveRun.start(folder.path, ['metrics.listen=off']);
    const steps = (): FindingDocument[] =>
      findingsIn(folder.path).filter((finding) => finding.rule.id === 'connect-failures' && entityOf(finding) === a.name);
    const callers = (lab as NetnsLab).start(a, 'callers.mjs', b.ipv4, '81', '10', '2000');
    await patiently('refused connects are found', limitMs, () => steps().length > 0);
    jitterscope('probes', 'disable', 'tcplife', '--for', '1h');
    await patiently('the finding is over', limitMs, () => steps().some(({ event }) => event.action === 'anomaly-resolved'));
    expect(jitterscope('rules', 'explain', 'connect-failures', '--entity', a.name)).toContain(
      'the probe tcplife is off; turn it on with: jitterscope probes enable tcplife',
    );
    jitterscope('probes', 'enable', 'tcplife');
    const opened = (): number => steps().filter(({ event }) => event.action === 'anomaly-opened').length;
    await patiently('it is found again', limitMs, () => opened() === 2);
    // Other labs of the machine may hold the same addresses: the peer is then not named.
    const resolved = steps().find(({ event }) => event.action === 'anomaly-resolved');
    expect(resolved).toMatchObject({ event: { reason: 'NO_DATA' }, jitterscope: { by: { worst_far_port: '81' } } });
    await callers.stop();
  },
  3 * limitMs,
);
