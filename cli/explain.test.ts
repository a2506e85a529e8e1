import { expect, test } from 'vitest';
import { aggregationOf } from './aggregation.ts';
import { readConfig } from './config.ts';
import { explainRunning } from './explain.ts';
import { absentAggregator, absentBus } from './roles.ts';

test.each([{}, { at: 1_790_000_000 }])(
  'a process that aggregates nothing says so when it is asked for an explanation: %j',
  async (when) => {
    const pipeline = { bus: absentBus, aggregator: absentAggregator, aggregation: aggregationOf(readConfig({})) };
    const answers = explainRunning(pipeline, { rule: 'reset-storm', entity: 'shop/web-0', ...when }, new AbortController().signal);
    await expect(answers.next()).rejects.toMatchObject({ code: 'EXPLAIN_NO_PARTITION' });
  },
);
