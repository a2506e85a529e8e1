import type { ReloadStatus } from '../../core/config/reload.ts';
import type { MetricSet } from './metric-set.ts';

/** How the configuration file was followed. */
export function addConfigMetrics(set: MetricSet, status: () => ReloadStatus): void {
  set.counter('jitterscope_config_reloads_total', 'Times that the configuration was read again, by result.', ['result'], () => [
    [{ result: 'success' }, status().successes],
    [{ result: 'failure' }, status().failures],
  ]);
  set.gauge('jitterscope_config_last_reload_successful', '1 unless the newest configuration was refused.', [], () => [
    [{}, status().lastSuccessful ? 1 : 0],
  ]);
  set.gauge('jitterscope_config_last_reload_success_timestamp_seconds', 'When the configuration took effect.', [], () => [
    [{}, status().lastSuccessUnixMs / 1000],
  ]);
  set.gauge('jitterscope_config_pending_settings', 'Settings that take effect at the next start.', [], () => [
    [{}, status().pending.length],
  ]);
}
