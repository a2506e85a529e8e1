import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { loadNative } from './index.ts';

const pieceBytes = 16 * 1024;
const pieces = 4096;
/** One of so many stays: what was freed lies between those that live. */
const stays = 8;

/** The sanitizers bring an allocator of their own, which keeps what is freed. */
const isSanitized = process.env.JITTERSCOPE_NATIVE !== undefined;

test.skipIf(isSanitized)('pages of what was freed between what lives go back to the kernel', async () => {
  const native = loadNative();
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const all: (Buffer | undefined)[] = Array.from({ length: pieces }, () => Buffer.allocUnsafeSlow(pieceBytes).fill(1));
  const beforeBytes = process.memoryUsage.rss();
  for (let at = 0; at < pieces; at++) if (at % stays !== 0) all[at] = undefined;
  const freedBytes = () => {
    collectGarbage();
    native.trimMemory();
    return beforeBytes - process.memoryUsage.rss();
  };
  for (let tries = 0; tries < 200 && freedBytes() < (pieces * pieceBytes) / 2; tries++) await sleep(50);
  expect(freedBytes()).toBeGreaterThan((pieces * pieceBytes) / 2);
  expect(all[0]?.[0]).toBe(1);
});
