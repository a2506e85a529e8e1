import { Registry } from 'prom-client';
import type { ConfigReloader } from '../core/config/reload.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Config } from './config.ts';
import { addAggregatorMetrics } from './metrics/aggregator-metrics.ts';
import { addBusMetrics } from './metrics/bus-metrics.ts';
import { addCertificateMetrics } from './metrics/certificate-metrics.ts';
import { addCollectorMetrics } from './metrics/collector-metrics.ts';
import { addConfigMetrics } from './metrics/config-metrics.ts';
import { addFileMetrics } from './metrics/file-metrics.ts';
import { addGatewayMetrics } from './metrics/gateway-metrics.ts';
import { addLokiMetrics } from './metrics/loki-metrics.ts';
import { MetricSet } from './metrics/metric-set.ts';
import { addProcessMetrics } from './metrics/process-metrics.ts';
import { addQueueMetrics } from './metrics/queue-metrics.ts';
import { addPrometheusMetrics, addSinkMetrics } from './metrics/sink-metrics.ts';
import type { Pipeline } from './pipeline.ts';

/** All metrics of the pipeline itself, in the direction of the data. Nothing is read before somebody asks. */
export function pipelineMetrics(
  pipeline: Pipeline,
  collector: Collector | undefined,
  reloader: Pick<ConfigReloader<Config>, 'status'>,
): Registry {
  const registry = new Registry();
  const set = new MetricSet(registry);
  const { gateway, aggregator, sinks, prometheus } = pipeline;
  addCollectorMetrics(set, collector);
  addGatewayMetrics(set, gateway);
  addAggregatorMetrics(set, aggregator);
  addSinkMetrics(set, () => sinks.stats());
  addFileMetrics(set, sinks);
  addLokiMetrics(set, () => sinks.stats());
  addPrometheusMetrics(set, prometheus);
  addBusMetrics(set, pipeline);
  addQueueMetrics(set, pipeline, collector);
  addConfigMetrics(set, () => reloader.status);
  addCertificateMetrics(set);
  addProcessMetrics(set, registry);
  return registry;
}
