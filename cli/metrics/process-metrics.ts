import { release } from 'node:os';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { packageVersion } from '../version.ts';
import type { MetricSet } from './metric-set.ts';

const prefix = 'jitterscope_';
/** Its timer wakes an idle process so often. */
const eventLoopSamplingMs = 100;

/** CPU, memory, descriptors, event loop and garbage collection of this process: jitterscope_process_*, jitterscope_nodejs_*. */
export function addProcessMetrics(set: MetricSet, registry: Registry): void {
  set.gauge('jitterscope_build_info', '1; what runs, in its labels.', ['version', 'node', 'kernel'], () => [
    [{ version: packageVersion(), node: process.version, kernel: release() }, 1],
  ]);
  collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: eventLoopSamplingMs });
  // Gauges whose names end as those of counters: scrapers warn of them, and the sums of the others tell the same.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`${prefix}nodejs_active_${what}_total`);
}
