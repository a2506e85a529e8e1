import type { Probe, ProbeMetric } from '../bpf/probe.ts';
import { describeMetric } from '../schema/metrics.ts';
import type { FamilyDescription, FieldDescription } from '../services/sinks/prometheus/family.ts';

const microsecondScale = 1e-6;
/** Highest bucket of a log2 histogram of u64 (bpf/probe.ts). */
const maxBucket = 64;

/** How fields of sources and metrics of probes are shown in Prometheus. */
export function metricDescriptions(probes: readonly Probe[]): (source: string, field: string) => FieldDescription | undefined {
  const metrics = new Map(
    probes.map(({ name, metrics: own }) => [name, new Map(own.map((metric) => [String(metric.number), familyOf(metric)]))]),
  );
  return (source, field) => {
    const ofProbe = metrics.get(source);
    if (ofProbe === undefined) return { family: describeMetric(source, field), part: 'value' };
    const [number = '', bucket] = field.split('/');
    const family = ofProbe.get(number);
    if (family === undefined) return undefined;
    if (family.type !== 'histogram') return bucket === undefined ? { family, part: 'value' } : undefined;
    if (bucket === 'sum') return { family, part: 'sum' };
    // Each bucket up to the highest one is a line of every series.
    return bucket !== undefined && /^\d{1,2}$/.test(bucket) && Number(bucket) <= maxBucket ? { family, part: Number(bucket) } : undefined;
  };
}

function familyOf(metric: ProbeMetric): FamilyDescription {
  const { name, help } = metric;
  const unit = metric.unit;
  const type = metric.kind === 'histogram' ? 'histogram' : 'counter';
  const shown = unit === 'us' ? { unit: 'seconds', scale: microsecondScale } : { ...(unit === undefined ? {} : { unit }), scale: 1 };
  return { name, type, help: help.endsWith('.') ? help : `${help}.`, ...shown };
}
