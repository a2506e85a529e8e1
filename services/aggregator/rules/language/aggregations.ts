import type { Aggregation, CounterReference } from '../rule.ts';

/** What may be aggregated: totals and gauges that are read, histograms of probes, records, and a number of records. */
export type Aggregated = CounterReference['kind'] | 'records' | 'values';

/** Which aggregations each may have; the first is meant when a signal names none. */
export const aggregationsOf: Readonly<Record<Aggregated, readonly [Aggregation, ...Aggregation[]]>> = {
  counter: ['rate', 'delta', 'sum'],
  gauge: ['last', 'max', 'min', 'slope'],
  histogram: ['p95', 'p50', 'p99', 'count', 'rate'],
  records: ['count', 'rate'],
  values: ['max', 'min', 'sum', 'rate', 'p50', 'p95', 'p99', 'count', 'distinct', 'last', 'slope'],
};

/** What each makes of what fell into the window, for the reference. */
export const aggregationMeanings: Readonly<Record<Aggregation, string>> = {
  rate: 'the sum a second, over the whole window',
  delta: 'how much a counter rose',
  sum: 'the sum of the numbers; of a counter how much it rose',
  max: 'the largest number',
  min: 'the smallest number',
  p50: 'the median; at most 19 % too high or low',
  p95: 'what 95 % of the numbers do not exceed; at most 19 % too high or low',
  p99: 'what 99 % of the numbers do not exceed; at most 19 % too high or low',
  count: 'how many there were',
  distinct: 'how many different numbers; exact to 64',
  last: 'the newest number',
  slope: 'how much it rises a second, by least squares',
};
