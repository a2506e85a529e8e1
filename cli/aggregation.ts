import { probes } from '../bpf/registry.ts';
import { severities } from '../schema/batch.ts';
import type { PartitionOptions } from '../services/aggregator/partition-steps.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import type { SeriesOptions } from '../services/aggregator/series/partition-series.ts';
import { probeSeriesOf } from '../services/aggregator/series/probe-series.ts';
import type { Config } from './config.ts';
import { configuredRules } from './rule-set.ts';

/** How a configuration makes events, series and findings of a partition. */
export interface Aggregation extends PartitionOptions {
  readonly series: SeriesOptions;
  readonly rules: RuleSet;
}

/** Throws what is wrong with the rules. */
export function aggregationOf(config: Config): Aggregation {
  const { aggregator, cluster } = config;
  return {
    cluster: cluster.name,
    events: new Map(probes.map((probe) => [probe.number, probe.event])),
    minSeverity: new Map(probes.map(({ name, number }) => [number, severities.indexOf(aggregator.events[name].minSeverity)])),
    series: { maxSeries: aggregator.maxSeries, probes: probeSeriesOf(probes) },
    rules: configuredRules(config),
    maxHeldBytes: aggregator.heldSize,
    maxBatchBytes: aggregator.batchSize,
  };
}
