import { z } from 'zod';
import { duration, size } from '../../core/quantity.ts';

/** The `collector` section. */
export const collectorConfig = z
  .strictObject({
    drainInterval: duration('10ms').describe('How often the reader thread empties the ring buffers.'),
    batchSize: size('256KiB', { atLeast: '4KiB' }).describe('A batch of records is sent when it has this size ...'),
    batchLinger: duration('200ms').describe('... or when its first record has waited this long.'),
    heartbeatInterval: duration('1s').describe('How often a heartbeat is sent and the namespaces are looked at.'),
    keyframeInterval: duration('5m').describe('How often everything needed to start reading is repeated.'),
    counterInterval: duration('2s').describe('How often the counter maps are read.'),
    spoolSize: size('512MiB', { atLeast: '16MiB' }).describe(
      'Batches that the gateway has not acked; beyond, the oldest are given up and counted.',
    ),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(200)
      .describe('Events that a namespace may emit at once, per probe; what is beyond is counted.'),
    rate: z.int().min(1).max(1_000_000).default(50).describe('Events per second that a namespace may emit for long, per probe.'),
  })
  .prefault({});

export type CollectorConfig = z.output<typeof collectorConfig>;
