import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createLog, LogLimiter } from '../../../core/log.ts';
import type { NetnsHandle } from '../../../native/addon.ts';
import { eventually } from '../../../test/lab/eventually.ts';
import { SampleLedger } from '../../../test/support/sample-ledger.ts';
import { emptyCollectorMetrics } from '../metrics.ts';
import type { Baselines } from '../sources/baselines.ts';
import { Sampler } from './sampler.ts';

const files = new Map(
  ['snmp', 'snmp6', 'netstat', 'sockstat', 'sockstat6', 'dev'].map((name) => [
    name,
    readFileSync(new URL(`../sources/fixtures/${name}-6.18.txt`, import.meta.url)),
  ]),
);

test('whatever comes and goes, nothing of it stays: no descriptor, no target', async () => {
  let open = 0;
  const handleOf = (cookie: number): NetnsHandle => ({
    inode: cookie,
    cookie,
    readProcNet: (names) => names.map((name) => files.get(name)),
    dump: () => Buffer.alloc(0),
    close: () => void open--,
  });
  const ledger = new SampleLedger();
  const metrics = emptyCollectorMetrics();
  const sampler = new Sampler({
    native: {
      openNetns: (path) => {
        open++;
        return handleOf(Number(path));
      },
    },
    baselines: { of: () => undefined, write: () => undefined } as unknown as Baselines,
    metrics,
    log: createLog('silent'),
    limiter: new LogLimiter(),
    intervalMs: 50,
    bootNs: () => 1,
    ship: ({ samples }) => samples && ledger.take(samples),
    counters: () => [],
    cgroups: () => [],
  });
  sampler.start();
  await eventually('the node was read', () => ledger.cycles > 0);
  const nodeTargets = metrics.sampling.targets;
  for (let wave = 0; wave < 5; wave++) {
    const live = Array.from({ length: 40 }, (_, i) => 10_000 + wave * 40 + i).map((cookie) => ({
      cookie,
      inode: cookie,
      path: String(cookie),
    }));
    sampler.follow(live);
    await eventually('they are told', () => live.every(({ cookie }) => ledger.target('snmp', cookie) !== undefined));
    sampler.retire(
      live.map(({ cookie }) => cookie),
      [],
    );
    await eventually('their end is told', () => live.every(({ cookie }) => ledger.target('snmp', cookie)?.ended === true));
  }
  expect([open, metrics.sampling.netns, metrics.sampling.targets]).toEqual([0, 0, nodeTargets]);
  expect(metrics.sampling.failures).toBe(0);
  expect(ledger.problems).toEqual([]);
  sampler.stop();
});

test('an interval that is configured anew holds at once, whatever was being waited for', async () => {
  const metrics = emptyCollectorMetrics();
  const sampler = new Sampler({
    native: {
      openNetns: () => {
        throw new Error('there is none');
      },
    },
    baselines: { of: () => undefined, write: () => undefined } as unknown as Baselines,
    metrics,
    log: createLog('silent'),
    limiter: new LogLimiter(),
    intervalMs: 3_600_000,
    bootNs: () => 1,
    ship: () => undefined,
    counters: () => [],
    cgroups: () => [],
  });
  sampler.start();
  sampler.setInterval(50);
  await eventually('cycles follow', () => metrics.sampling.cycles >= 3);
  sampler.setInterval(3_600_000);
  expect(metrics.sampling.intervalSeconds).toBe(3600);
  sampler.setInterval(50);
  const { cycles } = metrics.sampling;
  await eventually('they go on', () => metrics.sampling.cycles > cycles + 1);
  sampler.stop();
});
