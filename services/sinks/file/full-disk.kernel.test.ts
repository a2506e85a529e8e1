import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { delivering } from '../delivery.ts';
import { newDeliveryCounters } from '../metrics.ts';
import { lineOf, viewOf } from '../test-events.ts';
import { openFileSink } from './index.ts';

const pageBytes = 4096;

test('a full disk holds events back, leaves no torn line, and they are written once when there is room', async () => {
  const disk = await mkdtemp(join(tmpdir(), 'jitterscope-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
  try {
    const dir = join(disk, 'events');
    const sink = await openFileSink({ dir, maxFileBytes: 200_000, maxFiles: 999, gzip: true, log: createLog('silent') });
    const counters = newDeliveryCounters();
    const failures: string[] = [];
    const textOf = async () => {
      const names = (await readdir(dir)).filter((name) => name.endsWith('.ndjson')).sort();
      return (await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))).join('');
    };
    const linesOf = (count: number) => Array.from({ length: count }, (_, number) => lineOf(number)).join('');

    // Other people's files take all but a few pages; some rounds leave room for the data and none for the manifest.
    for (let round = 0; round < 12; round++) {
      const first = round * 100;
      const room = round * pageBytes;
      await writeFile(join(disk, 'filler'), Buffer.alloc(1024 * 1024)).catch(() => undefined);
      const { size } = await stat(join(disk, 'filler'));
      await truncate(join(disk, 'filler'), Math.max(0, size - room));
      const observer = {
        retrying: (_partition: number, cause: { code: string }) => void failures.push(cause.code),
        paused: () => undefined,
        delivering: () => undefined,
      };
      const wrapped = delivering(sink, {
        name: 'file',
        maxBytes: 1 << 20,
        counters,
        policy: { initialMs: 1, maxMs: 2, pauseMs: 2 },
        observer,
      });
      const view = viewOf(first, 100);
      const before = failures.length;
      const delivery = wrapped.deliver(
        { partition: 0, view, items: Uint32Array.from({ length: 100 }, (_, row) => row) },
        new AbortController().signal,
      );
      let isDone = false;
      const done = delivery.then(() => {
        isDone = true;
      });
      while (!isDone && failures.length < before + 5) await new Promise((resolve) => setTimeout(resolve, 1));
      await rm(join(disk, 'filler'));
      await done;
      expect(await textOf()).toBe(linesOf(first + 100));
    }
    expect(failures.length).toBeGreaterThan(5);
    expect(new Set(failures)).toEqual(new Set(['FILE_NO_SPACE']));
    await sink.close();
  } finally {
    execFileSync('umount', ['-l', disk]);
    await rm(disk, { recursive: true, force: true });
  }
});
