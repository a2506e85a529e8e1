import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { configSchema } from '../cli/config.ts';
import { startPipeline } from '../cli/pipeline.ts';
import { AppError } from '../core/app-error.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { readHops, replayPositions, temporaryFolder } from './support/data-folder.ts';
import { countEvents } from './support/event-files.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { expectAggregatorIdentity, expectedItemsOf, expectSinkIdentity, sum } from './support/loss-identity.ts';
import { SmallDisk } from './support/small-disk.ts';
import { type SyntheticCapture, writeSyntheticCapture } from './support/synthetic-capture.ts';
import { withoutRules } from './support/without-rules.ts';

const mebibyte = 1024 * 1024;
const diskMebibytes = 64;
const limitMs = 120_000;

const folder = temporaryFolder();
let capture: SyntheticCapture;

beforeAll(async () => {
  capture = await writeSyntheticCapture(join(folder.path, 'capture.jscap'), 20_000);
});

afterAll(() => folder.remove());

function start(disk: SmallDisk): JitterscopeProcess {
  return new JitterscopeProcess(['replay', capture.file, '--data-dir', join(disk.path, 'data'), '--quiet', ...withoutRules]);
}

/** Everything that was acked is in the files, or is counted as lost by its exact number. */
async function expectAllAccountedFor(dataDir: string): Promise<void> {
  const positions = await replayPositions(dataDir);
  expect(positions.at(-1)).toBe(capture.messages);
  const { checkpoint, sink } = await readHops(dataDir);
  expect(checkpoint.dispositions).toEqual(capture.counts);
  expectAggregatorIdentity(checkpoint.dispositions, expectedItemsOf(checkpoint.sessions, checkpoint.forgottenItems));
  expectSinkIdentity(sink, checkpoint.dispositions.events);
  const expected = capture.events.copy();
  expect(countEvents(join(dataDir, 'events'), expected)).toBe(sink.delivered);
  const { missing, twice, unexpected } = expected.verdict();
  expect({ missing, twice, unexpected }).toEqual({ missing: sum(sink.lost), twice: 0, unexpected: 0 });
  process.stdout.write(`full disk: ${sink.delivered} events delivered, lost ${JSON.stringify(sink.lost)}\n`);
}

kernelTest(
  'a disk that fills up stops nothing for good: it is told with its remedy, and the work goes on when there is room',
  { timeout: 200_000 },
  async () => {
    const disk = new SmallDisk(diskMebibytes);
    try {
      disk.fill(20 * mebibyte);
      const started = start(disk);
      while (started.running && !/NO_SPACE|DISK_FULL/.test(started.stderr)) await sleep(20);
      await sleep(3_000);
      expect(started.running, started.stderr.slice(-2000)).toBe(true);
      expect(started.stderr).toMatch(/"remedy":"Free space/);
      disk.free();
      const { code } = await started.finish(limitMs);
      expect(code, started.stderr.slice(-2000)).toBe(0);
      await expectAllAccountedFor(join(disk.path, 'data'));
    } finally {
      disk.remove();
    }
  },
);

kernelTest('killed on a full disk and started on it again, it says why it cannot go on, or goes on', { timeout: 200_000 }, async () => {
  const disk = new SmallDisk(diskMebibytes);
  try {
    disk.fill(12 * mebibyte);
    const first = start(disk);
    while (first.running && !/NO_SPACE|DISK_FULL/.test(first.stderr)) await sleep(20);
    disk.fill(0);
    expect((await first.killHard()).signal, first.stderr.slice(-2000)).toBe('SIGKILL');
    const second = start(disk);
    await Promise.race([second.ended, sleep(5_000)]);
    expect(`${second.stdout}${second.stderr}`).not.toContain('defect of jitterscope');
    if (second.running) await second.killHard();
    else expect(second.stderr).toMatch(/[Ff]ree space/);
    disk.free();
    const { code } = await start(disk).finish(limitMs);
    expect(code).toBe(0);
    await expectAllAccountedFor(join(disk.path, 'data'));
  } finally {
    disk.remove();
  }
});

kernelTest('started where any little space is left, it says with a remedy that there is none, or starts', async () => {
  const disk = new SmallDisk(4);
  const config = configSchema.parse({ sinks: { prometheus: { enabled: false } } });
  const log = createLog('silent');
  /** Starts all hops; resolves with the code of what it says instead. */
  const startIn = async (dataDir: string): Promise<string> => {
    const pipeline = await startPipeline(config, dataDir, { ticks: true, log });
    const { gatewayAddress } = pipeline;
    try {
      const spoolDir = join(dataDir, 'spool');
      const collector = await FakeCollector.start({ spoolDir, gatewayAddress, events: new ExpectedEvents(), clockS: Date.now() / 1000 });
      await collector.close(0);
      return 'started';
    } finally {
      await pipeline.close(new Deadline(0));
    }
  };
  try {
    const found: string[] = [];
    for (let leftKib = 0; leftKib <= 80; leftKib += 4) {
      disk.free();
      disk.fill(leftKib * 1024);
      const dataDir = join(disk.path, 'data');
      const said = await startIn(dataDir).catch((thrown: unknown) => {
        if (!(thrown instanceof AppError)) throw thrown;
        expect(thrown).toMatchObject({
          message: expect.stringContaining(dataDir),
          remedy: expect.stringContaining('Free space'),
          exitCode: 75,
        });
        return thrown.code;
      });
      if (said !== found.at(-1)) found.push(said);
      rmSync(dataDir, { recursive: true, force: true });
    }
    expect(found).toEqual(['DATA_DIR_FULL', 'BUS_DISK_FULL', 'COLLECTOR_SPOOL_UNUSABLE', 'started']);
  } finally {
    disk.remove();
  }
});
