import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadNative } from './index.ts';

const native = loadNative();
const uptimeMs = () => Math.round(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000);

test('boot time and wall time are those that the system tells, and boot time goes on', () => {
  const before = { bootMs: uptimeMs(), wallMs: Date.now() };
  const first = native.clocks();
  const second = native.clocks();
  const after = { bootMs: uptimeMs(), wallMs: Date.now() };
  // /proc/uptime has hundredths of a second.
  expect(Number(first.bootNs / 1_000_000n)).toBeGreaterThanOrEqual(before.bootMs - 10);
  expect(Number(second.bootNs / 1_000_000n)).toBeLessThanOrEqual(after.bootMs + 10);
  expect(Number(first.wallNs / 1_000_000n)).toBeGreaterThanOrEqual(before.wallMs);
  expect(Number(second.wallNs / 1_000_000n)).toBeLessThanOrEqual(after.wallMs);
  expect(second.bootNs).toBeGreaterThan(first.bootNs);
});
