import type { LoadedConfig } from '../core/config/load.ts';
import { ConfigReloader } from '../core/config/reload.ts';
import type { ConfigSources } from '../core/config/sources.ts';
import { type LeveledLog, logOf } from '../core/log.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import type { Collector } from '../services/collector/main.ts';
import { type Config, configSchema } from './config.ts';
import { configuredRules } from './rule-set.ts';

export interface FollowConfigParts {
  readonly sources: ConfigSources;
  /** What the process started with. */
  readonly loaded: LoadedConfig<Config>;
  readonly log: LeveledLog;
  readonly collector: Collector | undefined;
  readonly aggregator: Pick<Aggregator, 'rules' | 'replaceRules'>;
}

/** Takes up changes of the configuration, and of the rules' folder that it names, while the process runs. Not started yet. */
export function followConfig({ sources, loaded, log, collector, aggregator }: FollowConfigParts): ConfigReloader<Config> {
  const reloader = new ConfigReloader<Config>({
    schema: configSchema,
    sources,
    loaded,
    named: ({ rules }) => (rules.directory === undefined ? [] : [rules.directory]),
    log: logOf(log, 'config'),
  });
  reloader.onReload(
    ({ config }) =>
      () =>
        log.setLevel(config.log.level),
  );
  reloader.onReload(({ config, changed }) => {
    const concerned = [...changed].some((path) => path.startsWith('collector.'));
    return concerned ? () => collector?.configure(config.collector) : undefined;
  });
  reloader.onReload(({ config }) => {
    const running = aggregator.rules();
    // The role is another one.
    if (running === undefined) return undefined;
    const rules = configuredRules(config);
    if (rules.version === running.version) return undefined;
    return async () => {
      await aggregator.replaceRules(rules);
      logOf(log, 'rules').info({ rules: rules.rules.length, version: rules.version }, 'other rules');
    };
  });
  return reloader;
}
