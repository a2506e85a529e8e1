import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import type { RunningElasticsearch } from '../scripts/servers/elasticsearch.mjs';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { startElasticsearch, storedIds } from './support/elasticsearch-server.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { SmallDisk } from './support/small-disk.ts';
import { type SyntheticCapture, writeSyntheticCapture } from './support/synthetic-capture.ts';
import { withoutRules } from './support/without-rules.ts';

const mebibyte = 1024 * 1024;
const limitMs = 180_000;
const folder = temporaryFolder();
/** Of a user that may not go through the other one. */
const serverFolder = temporaryFolder();
let server: RunningElasticsearch;
let capture: SyntheticCapture;

beforeAll(async () => {
  [server, capture] = await Promise.all([
    startElasticsearch({ dataDir: serverFolder.path }),
    writeSyntheticCapture(join(folder.path, 'capture.jscap'), 12_000),
  ]);
});
afterAll(async () => {
  await server?.kill();
  folder.remove();
  serverFolder.remove();
});

kernelTest(
  'a disk that is full loses and doubles nothing in Elasticsearch: logs, commits and checkpoints wait for room',
  { timeout: 300_000 },
  async () => {
    const disk = new SmallDisk(64);
    const dataDir = join(disk.path, 'data');
    const start = () =>
      new JitterscopeProcess([
        'replay',
        capture.file,
        '--data-dir',
        dataDir,
        '--quiet',
        ...withoutRules,
        ...[
          'sinks.elasticsearch.enabled=true',
          `sinks.elasticsearch.urls=["${server.address}"]`,
          'aggregator.checkpointInterval=1s',
        ].flatMap((setting) => ['--set', setting]),
      ]);
    try {
      disk.fill(14 * mebibyte);
      const first = start();
      while (first.running && !/NO_SPACE|DISK_FULL/.test(first.stderr)) await sleep(20);
      // Not a byte for what it was about to write: a commit, a checkpoint, a letter.
      disk.fill(0);
      await sleep(2_000);
      expect(first.running, first.stderr.slice(-2000)).toBe(true);
      expect(first.stderr).toMatch(/"remedy":"Free space/);
      expect((await first.killHard()).signal).toBe('SIGKILL');
      disk.free();
      const { code } = await start().finish(limitMs);
      expect(code).toBe(0);

      const expected = [...capture.events.expected()].map(([prefix, item]) => `${prefix}-${item}`);
      const ids = await storedIds(server.address, 'jitterscope-events-*');
      const distinct = new Set(ids);
      expect({
        doubled: ids.length - distinct.size,
        missing: expected.filter((id) => !distinct.has(id)).length,
        stored: ids.length,
      }).toEqual({
        doubled: 0,
        missing: 0,
        stored: expected.length,
      });
    } finally {
      disk.remove();
    }
  },
);
