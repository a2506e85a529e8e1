import type { Probe } from '../../bpf/probe.ts';
import type { CollectorConfig } from './config.ts';
import type { ProbeSetup } from './hosted-probe.ts';

/** What a probe starts with, and is changed to, as the configuration says. */
export function setupOf(
  { burst, rate, probes }: CollectorConfig,
  { name, thresholds = [] }: Probe,
): ProbeSetup & { readonly enabled: boolean } {
  const own = probes[name];
  const values = thresholds.map((threshold) => {
    const value = own?.[threshold.name];
    return [threshold.name, typeof value === 'number' ? value : threshold.default] as const;
  });
  return {
    enabled: own?.enabled ?? true,
    burst: own?.burst ?? burst,
    intervalNs: Math.round(1e9 / (own?.rate ?? rate)),
    filterMode: 'all',
    thresholds: Object.fromEntries(values),
  };
}
