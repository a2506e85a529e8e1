import { expect, test } from 'vitest';
import { metrics as metricNumbers } from '../schema/record.gen.ts';
import { PartitionState } from '../services/aggregator/partition-state.ts';
import type { Collector } from '../services/collector/main.ts';
import { emptyCollectorMetrics } from '../services/collector/metrics.ts';
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

test('what was lost is told by its reason: in this run, and as the hops count it over all runs', () => {
  const state = new PartitionState();
  Object.assign(state.dispositions, { gaps: 12, skipped: { disk_full: 9 }, rejected: { malformed: 2 } });
  const sink: SinkCounters = {
    sink: 'file',
    status: 'closed',
    delivery: newDeliveryCounters(),
    partitions: new Map([[0, { ...newDispositions(), lost: { ...newDispositions().lost, retention: 5 } }]]),
    store: {},
  };
  const aggregator = { ...absentAggregator, partitions: () => new Map([[0, state]]) };
  const pipeline = { aggregator, sinks: { ...absentSinks, stats: () => [sink] } } as unknown as Pipeline;
  const metrics = { ...emptyCollectorMetrics(), skipped: { disk_full: 4 } };
  const totals = { sum: (metric: number) => (metric === metricNumbers.RING_FULL ? 7 : 0), uncounted: 0 };
  const collector = { metrics, counters: () => totals } as unknown as Collector;
  const linesOf = (run: Pipeline, by?: Collector) =>
    summaryText(run, by, { spooledMessages: 0, waiting: [] })
      .split('\n')
      .filter((line) => line.includes('lost'));
  expect(linesOf(pipeline, collector)).toEqual([
    '  lost        7 ring_full (the kernel had no room)',
    '  lost        4 disk_full (the spool gave them up)',
    '  lost in all 9 skipped: disk_full',
    '  lost in all 3 gaps (never arrived)',
    '  lost in all 2 rejected: malformed',
    '  lost in all 5 file: retention',
  ]);
  expect(linesOf({ aggregator: absentAggregator, sinks: absentSinks } as unknown as Pipeline)).toEqual(['  lost        0']);
});
