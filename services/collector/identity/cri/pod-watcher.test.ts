import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
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

test('where no runtime is, one unknown namespace does not make it look for one over and over', async () => {
  vi.useFakeTimers();
  let looks = 0;
  const config = { ...collectorConfig.parse({}).cri };
  const look = (): string => {
    looks++;
    return join(tmpdir(), 'no-runtime.sock');
  };
  const counted = Object.defineProperty(config, 'socket', { get: look });
  const watcher = new PodWatcher({
    config: counted,
    tracker: {} as PodTracker,
    clock: { bootNs: () => 1 },
    cgroupMount: undefined,
    log: createLog('silent'),
    limiter: new LogLimiter(),
    changed: () => undefined,
  });
  try {
    await watcher.start(1);
    await vi.advanceTimersByTimeAsync(20_000);
    const quiet = looks;
    watcher.ring();
    await vi.advanceTimersByTimeAsync(20_000);
    // Every 5 s, and once more for the ring.
    expect(looks - quiet).toBeLessThanOrEqual(5);
    expect(looks - quiet).toBeGreaterThanOrEqual(4);
  } finally {
    vi.useRealTimers();
    await watcher.close();
  }
});
