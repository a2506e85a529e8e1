import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { countEvents } from './support/event-files.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { entityOf, findingsIn } from './support/findings.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';

const duration = process.env.JITTERSCOPE_SOAK_DURATION ?? '90s';
const limitMs = 1_800_000;

test('recorded healthy, noisy traffic makes no finding of warning or above when it is replayed', async () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const capture = fileURLToPath(new URL('../examples/captures/soak.jscap.gz', import.meta.url));
  const replayed = new JitterscopeProcess(['replay', capture, '--data-dir', folder.path, '--quiet', '--set', 'metrics.listen=off']);
  expect((await replayed.ended).code).toBe(0);
  // Events there are: it is noisy.
  expect(countEvents(`${folder.path}/events`, new ExpectedEvents())).toBeGreaterThan(100);
  // What else ran on the machine broke things on purpose.
  const own = findingsIn(folder.path).filter((finding) => entityOf(finding).startsWith('soak-'));
  const loud = own.filter(({ log, event }) => log.level !== 'info' && event.action !== 'anomaly-resolved');
  expect(loud.map((finding) => `${entityOf(finding)} ${finding.message}`)).toEqual([]);
});

kernelTest(
  `${duration} of healthy, noisy traffic make no finding of warning or above`,
  () => {
    const script = fileURLToPath(new URL('../scripts/main.cjs', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script, 'soak', '--duration', duration], { encoding: 'utf8' });
    process.stdout.write(stdout);
    expect(stdout).toContain('soak: 0 findings of warning or above');
    expect(status).toBe(0);
  },
  limitMs,
);
