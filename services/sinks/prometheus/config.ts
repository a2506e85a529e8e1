import { z } from 'zod';
import { duration } from '../../../core/quantity.ts';

/** Section `sinks.prometheus`. */
export const prometheusSinkSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Show the metrics of Pods and nodes under /metrics (metrics.listen).'),
  maxSeriesPerMetric: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20_000)
    .describe('Series of one metric; what comes beyond is summed up in one series whose labels say `other`.'),
  endedVisible: duration('3m').describe(
    'How long the counters of what has ended are still shown, so that their last increment is scraped.',
  ),
});

export type PrometheusSinkConfig = z.output<typeof prometheusSinkSchema>;
