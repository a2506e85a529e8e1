import { expect, test } from 'vitest';
import { newDeliveryCounters, newDispositions, type SinkCounters } from '../services/sinks/metrics.ts';
import type { Pipeline } from './pipeline.ts';
import { absentAggregator, absentSinks } from './roles.ts';
import { summaryText } from './summary.ts';

test('a sink has one line, with what all its partitions delivered', () => {
  const partition = (delivered: number, repeat: number) => ({ ...newDispositions(), delivered, repeat });
  const stats: readonly SinkCounters[] = [
    {
      sink: 'file',
      status: 'closed',
      delivery: newDeliveryCounters(),
      partitions: new Map([
        [0, partition(3, 0)],
        [9, partition(328, 2)],
      ]),
      store: {},
    },
    { sink: 'loki', status: 'closed', delivery: newDeliveryCounters(), partitions: new Map(), store: {} },
  ];
  const pipeline = { aggregator: absentAggregator, sinks: { ...absentSinks, stats: () => stats } } as unknown as Pipeline;
  const lines = summaryText(pipeline, undefined, { spooledMessages: 0, waiting: [] }).split('\n');
  expect(lines.filter((line) => line.includes('delivered'))).toEqual([
    '  file        331 events delivered in all, 0 rejected, 2 repeats dropped',
  ]);
});
