import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Baseline, Baselines } from './baselines.ts';

test('what is written is read again, however much there is to keep', () => {
  const folder = mkdtempSync(join(tmpdir(), 'baselines-'));
  const file = join(folder, 'baselines.json');
  const baseline: Baseline = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`TcpExt.Field${i}`, [2 ** 32, 4_000_000_000]]));
  const live = Array.from({ length: 2_000 }, (_, netns) => [`${netns} 0 netstat`, baseline] as const);
  try {
    const written = new Baselines(file, 'boot');
    written.write(live);
    expect(written.omitted).toBeGreaterThan(0);
    expect(statSync(file).size).toBeLessThanOrEqual(4 * 2 ** 20);
    const read = new Baselines(file, 'boot');
    expect(live.filter(([key]) => read.of(key) !== undefined)).toHaveLength(2_000 - written.omitted);
    expect(read.of('0 0 netstat')).toEqual(baseline);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
