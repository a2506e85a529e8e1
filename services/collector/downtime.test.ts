import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LifeSigns } from './downtime.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-downtime-'));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'last-heartbeat.json');

test('the hole lies between the last sign of life and the first attach, to the nanosecond', () => {
  const before = new LifeSigns(file, 'boot-1');
  before.write(1_790_000_000_123_456_780n);
  before.write(1_790_000_000_123_456_789n);
  expect(new LifeSigns(file, 'boot-1').downtime(1_790_000_010_000_000_000n)).toEqual({
    fromUnixNs: 1_790_000_000_123_456_789n,
    toUnixNs: 1_790_000_010_000_000_000n,
  });
  expect(readdirSync(dir)).toEqual(['last-heartbeat.json']);
});

test('another boot of the kernel has no hole', () => {
  new LifeSigns(file, 'boot-1').write(5n);
  expect(new LifeSigns(file, 'boot-2').downtime(9n)).toBeUndefined();
});

test('a wall clock that was set back in between leaves no length to claim', () => {
  new LifeSigns(file, 'boot-1').write(1_790_000_000_000_000_000n);
  expect(new LifeSigns(file, 'boot-1').downtime(1_780_000_000_000_000_000n)).toBeUndefined();
});

test('a shorter number leaves nothing of a longer one before it', () => {
  const signs = new LifeSigns(file, 'b');
  signs.write(1_790_000_000_123_456_789n);
  signs.write(7n);
  expect(signs.downtime(8n)?.fromUnixNs).toBe(7n);
});

test('a sign is overwritten where it lies; what was there before the first one, or took its place, is replaced', () => {
  writeFileSync(file, 'x'.repeat(5000));
  const signs = new LifeSigns(file, 'b');
  const inodes = [1n, 2n, 3n].map((unixNs) => {
    signs.write(unixNs);
    expect(signs.downtime(9n)?.fromUnixNs).toBe(unixNs);
    return statSync(file).ino;
  });
  expect(new Set(inodes).size).toBe(1);
  rmSync(file);
  signs.write(4n);
  expect(signs.downtime(9n)?.fromUnixNs).toBe(4n);
});

test.each([
  '',
  '{',
  'null',
  '5',
  '{"bootId":"b"}',
  '{"bootId":"b","unixNs":"soon"}',
  '{"bootId":"b","unixNs":null}',
  '{"bootId":"b","unixNs":1.5}',
])('the file %j states no hole', (text) => {
  writeFileSync(file, text);
  expect(new LifeSigns(file, 'b').downtime(9n)).toBeUndefined();
});

test('no file, no hole', () => {
  expect(new LifeSigns(join(dir, 'none.json'), 'b').downtime(9n)).toBeUndefined();
});
