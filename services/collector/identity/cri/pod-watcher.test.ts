import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLog, LogLimiter } from '../../../../core/log.ts';
import { collectorConfig } from '../../config.ts';
import type { RuntimeClient } from './client.ts';
import type { PodTracker } from './pod-tracker.ts';
import { PodWatcher } from './pod-watcher.ts';

test('the end does not wait for a runtime that hangs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'runtime-'));
  const socket = join(folder, 'cri.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  let asked = 0;
  const never = (): Promise<never> => {
    asked++;
    return new Promise(() => undefined);
  };
  const watcher = new PodWatcher({
    config: { ...collectorConfig.parse({}).cri, socket },
    tracker: { refresh: never } as unknown as PodTracker,
    clock: { bootNs: () => 1 },
    cgroupMount: undefined,
    log: createLog('silent'),
    limiter: new LogLimiter(),
    changed: () => undefined,
    connect: () => ({ version: never, close: () => undefined }) as unknown as RuntimeClient,
  });
  try {
    await watcher.start(1);
    expect(asked).toBe(1);
    await watcher.close();
    expect(watcher.answers).toBe(false);
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});
