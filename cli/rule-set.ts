import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadRules } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import type { Config } from './config.ts';
import { packageFolder } from './version.ts';

/** Folder of the rules that come with the package. */
export function shippedRules(): string {
  return join(packageFolder(), 'rules');
}

/** The rules that a configuration makes run: those of the package and those of its folder. Throws what is wrong with them. */
export function configuredRules({ rules, collector }: Pick<Config, 'rules' | 'collector'>): RuleSet {
  const shipped = shippedRules();
  const folders = existsSync(shipped) ? [shipped] : [];
  if (rules.directory !== undefined) folders.push(rules.directory);
  return loadRules(folders, { sampleIntervalS: collector.sampleInterval / 1000, disabled: rules.disabled, params: rules.params });
}
