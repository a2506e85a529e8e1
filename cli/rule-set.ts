import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadRules, type RuleSettings } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import type { Config } from './config.ts';
import { packageFolder } from './version.ts';

/** Folder of the rules that come with the package. */
export function shippedRules(): string {
  return join(packageFolder(), 'rules');
}

type RulesConfig = Pick<Config, 'rules' | 'collector'>;

/** Folders of the rules that a configuration makes run: that of the package and its own. */
export function ruleFolders({ rules }: RulesConfig): string[] {
  const shipped = shippedRules();
  const folders = existsSync(shipped) ? [shipped] : [];
  return rules.directory === undefined ? folders : [...folders, rules.directory];
}

/** What a configuration says of rules. */
export function ruleSettings({ rules, collector }: RulesConfig): RuleSettings {
  return { sampleIntervalS: collector.sampleInterval / 1000, disabled: rules.disabled, params: rules.params };
}

/** The rules that a configuration makes run. Throws what is wrong with them. */
export function configuredRules(config: RulesConfig): RuleSet {
  return loadRules(ruleFolders(config), ruleSettings(config));
}
