import { z } from 'zod';
import { probes } from '../../bpf/registry.ts';
import { duration, size } from '../../core/quantity.ts';

const eventsOfProbe = z
  .strictObject({
    minSeverity: z
      .enum(['info', 'warning', 'critical'])
      .default('info')
      .describe('Records below it are counted, and rules see them, but they become no events.'),
  })
  .prefault({});

/** The `aggregator` section. */
export const aggregatorConfig = z
  .strictObject({
    batchSize: size('256KiB', { atLeast: '4KiB', atMost: '4MiB' }).describe('Events go out in batches of this size ...'),
    batchLinger: duration('200ms').describe('... or this long after the batch before: what comes after a pause goes out at once.'),
    heldSize: size('8MiB', { atMost: '1GiB' }).describe('Records of a partition that may wait for the identity of their namespace.'),
    maxSeries: z
      .int()
      .min(1000)
      .max(2_000_000)
      .default(200_000)
      .describe('Series of metrics of a partition; what comes beyond is counted and folded into `other`.'),
    events: z
      .strictObject(Object.fromEntries(probes.map(({ name }) => [name, eventsOfProbe])))
      .prefault({})
      .describe('Which records of each probe become events.'),
    checkpointInterval: duration('60s').describe(
      'How often the state is written down, at least: also each time a quarter of `bus.rawSize` was processed.',
    ),
  })
  .prefault({});

export type AggregatorConfig = z.output<typeof aggregatorConfig>;
