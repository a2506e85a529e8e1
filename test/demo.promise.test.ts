import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const namespace = '/run/netns/demo-web';
const isFree = !existsSync(namespace);
const able = process.getuid?.() === 0 && spawnSync('ip', ['-V']).status === 0 && isFree;

/** What each fault's finding says: of whom, and why. */
const findings = [
  /finding (warning|critical) demo-web: accept queue of port 8080 is full, [\d.]+\/s connections dropped \(accept-queue-saturation\)/,
  /finding warning demo-client cannot connect, most often to demo-web port 81: within a minute \d+ connects were refused, .* \(connect-failures\)/,
  /finding warning demo-web: [\d.]+\/s packets are dropped, most often NETFILTER_DROP in \w+; the far end seen most is demo-client \(packet-drops\)/,
  /finding warning connections of demo-web are reset: [\d.]+\/s by itself, 0\/s by the far end, most often demo-client \(reset-storm\)/,
  /finding warning demo-web loses [\d.]+\/s datagrams over IPv4 and 0\/s over IPv6: the socket on port 5300 is not read in time \(udp-receive-overrun\)/,
];

/** Runs the demo to its end. @param user another one than root */
function demo(dataDir: string, user?: number): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const asUser = user === undefined ? {} : { uid: user, gid: user };
  const env = { ...process.env, NO_COLOR: '1', HOME: tmpdir() };
  return spawnSync(process.execPath, [program, 'demo', '--data-dir', dataDir], { encoding: 'utf8', env, ...asUser });
}

test.skipIf(!able)('the demo leaves a namespace of its name that somebody else made, and says so', () => {
  execFileSync('ip', ['netns', 'add', 'demo-web']);
  onTestFinished(() => void execFileSync('ip', ['netns', 'del', 'demo-web']));
  const { status, stderr } = demo(join(tmpdir(), 'jitterscope-no-such-folder'));
  expect(stderr).toContain('a network namespace demo-web that the demo did not make');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(78);
  expect(existsSync(namespace)).toBe(true);
});

(isFree ? kernelTest : test.skip)('the demo breaks five things, and each is found, explained, and named', () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const began = performance.now();
  const { status, stdout, stderr } = demo(folder.path);
  process.stdout.write(`demo: ${((performance.now() - began) / 1000).toFixed(1)} s from start to end\n`);
  for (const finding of findings) expect(stdout).toMatch(finding);
  expect(stdout).toMatch(/5 of 5 faults were found and explained, out of \d+ kernel events/);
  expect(stderr).not.toMatch(/Error|^\s+at /m);
  expect(status).toBe(0);
  expect(readdirSync('/run/netns').filter((name) => name.startsWith('demo-'))).toEqual([]);
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
