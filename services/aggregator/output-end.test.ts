import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { MetricBatch, topics } from '../../proto/bus.ts';
import { findMetricEnd } from './output-end.ts';

const good = (rawOffset: number) => MetricBatch.encode({ rawOffset, ordinal: 3 }).finish();
const poison = Buffer.from([0xff, 0xff, 0x01]);

test.each([0, 1, 15, 16, 17, 100, 4_095])('the end of an output is found behind %i messages that cannot be read', async (count) => {
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-output-end-'));
  const bus = await openEmbeddedLog({
    dir: folder,
    commitMs: 1,
    topics: [{ name: topics.metrics, partitions: 1, maxBytes: 64 * 1024 * 1024, retain: 'oldest' }],
  });
  onTestFinished(async () => {
    await bus.close();
    rmSync(folder, { recursive: true });
  });
  expect(await findMetricEnd(bus, 0)).toBeUndefined();
  await bus.append(topics.metrics, 0, [good(5), good(7), ...Array.from({ length: count }, () => poison)]);
  expect(await findMetricEnd(bus, 0)).toEqual({ rawOffset: 7, ordinal: 3 });
});
