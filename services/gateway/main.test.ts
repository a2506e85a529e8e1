import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { startGateway } from './main.ts';

test('the socket is for its owner alone, whatever the umask, which stays as it was', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-gateway-'));
  const bus = await openEmbeddedLog({
    dir,
    commitMs: 1,
    topics: [{ name: topics.raw, partitions: 1, maxBytes: 2 ** 24, retain: 'oldest' }],
  });
  const socketPath = join(dir, 'collect.sock');
  const before = process.umask(0o002);
  onTestFinished(async () => {
    process.umask(before);
    await bus.close();
    rmSync(dir, { recursive: true });
  });
  const gateway = await startGateway({
    bus,
    socketPath,
    ticks: false,
    maxInFlightBytes: 2 ** 20,
    maxMessageBytes: 2 ** 20,
    log: createLog('silent'),
  });
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  expect(process.umask()).toBe(0o002);
  await gateway.close();
});
