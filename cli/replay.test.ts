import { expect, test, vi } from 'vitest';
import { AppError } from '../core/app-error.ts';
import { replay } from './replay.ts';

const fake: { pipeline: unknown } = vi.hoisted(() => ({ pipeline: undefined }));
vi.mock('./pipeline.ts', async (importOriginal) => ({
  ...(await importOriginal<typeof import('./pipeline.ts')>()),
  startPipeline: () => Promise.resolve(fake.pipeline),
}));
vi.mock('../services/collector/replay.ts', () => ({ replayCapture: () => new Promise(() => undefined) }));

const diskGone = new AppError('CHECKPOINT_UNWRITABLE', { message: 'no disk', retryable: false, remedy: 'Mount it.' }, {});

test.each([
  [diskGone, { message: 'the aggregator cannot go on: no disk', remedy: 'Mount it.' }],
  [new TypeError('a defect'), { message: 'the aggregator cannot go on: a defect' }],
])('a replay whose aggregator ends with %s drains and says so', async (cause, said) => {
  const close = vi.fn(async () => undefined);
  const finished = Promise.reject(cause);
  finished.catch(() => undefined);
  const pipeline = { aggregator: { finished }, settled: () => new Promise<boolean>(() => undefined), close };
  fake.pipeline = pipeline;
  await expect(replay({ file: 'capture', dataDir: 'data', quiet: true })).rejects.toMatchObject({
    code: 'AGGREGATOR_STOPPED',
    exitCode: 1,
    ...said,
  });
  expect(close).toHaveBeenCalledOnce();
});
