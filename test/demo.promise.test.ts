import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { patiently } from './support/patiently.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const namespace = '/run/netns/demo-web';
const limitMs = 240_000;

/** What each fault's finding says: of whom, and why. A busy machine reads counters too seldom to tell a rate. */
const findings = [
  /finding (warning|critical) demo-web: accept queue of port 8080 is full, ([\d.]+|no data)\/s connections dropped \(accept-queue-saturation\)/,
  /finding warning demo-client cannot connect, most often to demo-web port 81: within a minute \d+ connects were refused, .* \(connect-failures\)/,
  /finding warning demo-web: [\d.]+\/s packets are dropped, most often NETFILTER_DROP in \w+; the far end seen most is demo-client \(packet-drops\)/,
  /finding warning connections of demo-web are reset: [\d.]+\/s by itself, 0\/s by the far end, most often demo-client \(reset-storm\)/,
  /finding warning demo-web loses [\d.]+\/s datagrams over IPv4 and 0\/s over IPv6: the socket on port 5300 is not read in time \(udp-receive-overrun\)/,
];

/** Command lines of all processes, arguments ended by NUL: proc_pid_cmdline(5). */
function commands(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8')] : [];
    } catch {
      // It has ended.
      return [];
    }
  });
}

/** Runs the demo to its end. @param user another one than root */
function demo(dataDir: string, user?: number): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const asUser = user === undefined ? {} : { uid: user, gid: user };
  const env = { ...process.env, NO_COLOR: '1', HOME: tmpdir() };
  const end = performance.now() + limitMs;
  for (;;) {
    const ended = spawnSync(process.execPath, [program, 'demo', '--data-dir', dataDir], { encoding: 'utf8', env, ...asUser });
    // Of another test run on this machine.
    if (!ended.stderr.includes('another demo runs') || performance.now() > end) return ended;
    execFileSync('sleep', ['1']);
  }
}

kernelTest('the demo breaks five things, and each is found, explained, and named, also after one that was killed', async () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const killed = new JitterscopeProcess(['demo', '--data-dir', folder.path], { TMPDIR: folder.path });
  await patiently('it has begun, or another one lives', limitMs, () =>
    /removed|made the network|another demo/.test(killed.stdout + killed.stderr),
  );
  const agents = () => commands().filter((command) => command.includes(`--data-dir\0${folder.path}/jitterscope-demo-`));
  if (killed.running) {
    expect(agents()).toHaveLength(1);
    const second = spawnSync(process.execPath, [program, 'demo', '--data-dir', folder.path], { encoding: 'utf8' });
    expect([second.status, second.stderr]).toEqual([
      75,
      expect.stringContaining(`another demo runs on this machine: process ${killed.pid}: `),
    ]);
    await killed.killHard();
  }
  await patiently(
    'its own jitterscope ends, and its data folder is gone',
    limitMs,
    () => agents().length + readdirSync(folder.path).length === 0,
  );
  const began = performance.now();
  const { status, stdout, stderr } = demo(folder.path);
  process.stdout.write(`demo: ${((performance.now() - began) / 1000).toFixed(1)} s from start to end\n`);
  for (const finding of findings) expect(stdout).toMatch(finding);
  expect(stdout).toMatch(/5 of 5 faults were found and explained, out of \d+ kernel events/);
  expect(stderr).not.toMatch(/Error|^\s+at /m);
  expect(status).toBe(0);
  expect(readdirSync('/run/netns').filter((name) => name.startsWith('demo-'))).toEqual([]);
});

kernelTest('the demo leaves a namespace of its name that somebody else made, and says so', async () => {
  await patiently('the name is free', limitMs, () => spawnSync('ip', ['netns', 'add', 'demo-web']).status === 0);
  onTestFinished(() => void execFileSync('ip', ['netns', 'del', 'demo-web']));
  const { status, stderr } = demo(join(tmpdir(), 'jitterscope-no-such-folder'));
  expect(stderr).toContain('a network namespace demo-web that the demo did not make');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(78);
  expect(existsSync(namespace)).toBe(true);
});

test('without root the demo replays a recording, says so, and finds the same', () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const nobody = 65_534;
  const { status, stdout, stderr } = demo(folder.path, process.getuid?.() === 0 ? nobody : undefined);
  expect(stdout).toContain('without root no namespaces can be made: this replays a recorded demo');
  for (const finding of findings) expect(stdout).toMatch(finding);
  expect(stdout).toContain('5 of 5 faults were found and explained');
  expect(stderr).not.toMatch(/Error|^\s+at /m);
  expect(status).toBe(0);
});
