import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../core/config/load.ts';
import { createLog } from '../core/log.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import { eventually } from '../test/lab/eventually.ts';
import { configSchema } from './config.ts';
import { followConfig } from './follow-config.ts';
import { absentAggregator } from './roles.ts';
import { configuredRules } from './rule-set.ts';

type Rules = Pick<Aggregator, 'rules' | 'replaceRules'>;

/** Rules that run, and can be replaced. */
function running(): Rules {
  let rules = configuredRules(loadConfig(configSchema, {}).config);
  const replaceRules = async (next: RuleSet): Promise<void> => void (rules = next);
  return { rules: () => rules, replaceRules };
}

/** What is logged when the configuration becomes this one while a process with these rules runs. */
async function reload(aggregator: Rules, text: string): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-follow-'));
  const file = join(dir, 'config.yaml');
  writeFileSync(file, 'log: {level: info}\n');
  const lines: string[] = [];
  const log = createLog('info', 'json', { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) });
  const sources = { file };
  const reloader = followConfig({ sources, loaded: loadConfig(configSchema, sources), log, collector: undefined, aggregator });
  onTestFinished(async () => {
    await reloader.close();
    rmSync(dir, { recursive: true });
  });
  writeFileSync(file, text);
  reloader.start();
  await eventually('it is taken up', () => reloader.status.successes > 0);
  return lines;
}

test('another collector.sampleInterval replaces rules whose windows it lengthens', async () => {
  const aggregator = running();
  const before = aggregator.rules();
  expect(await reload(aggregator, 'log: {level: info}\ncollector: {sampleInterval: 60s}\n')).toContain('other rules');
  const windows = (rules: RuleSet | undefined): number[] => rules?.signals.map(({ windowS }) => windowS) ?? [];
  expect(Math.max(...windows(aggregator.rules()))).toBeGreaterThanOrEqual(120);
  expect(aggregator.rules()?.version).not.toBe(before?.version);
});

test('a change of something else replaces no rules', async () => {
  const aggregator = running();
  const before = aggregator.rules();
  expect(await reload(aggregator, 'log: {level: info}\ncollector: {burst: 7}\n')).not.toContain('other rules');
  expect(aggregator.rules()).toBe(before);
});

test('a process that aggregates nothing speaks of no rules', async () => {
  expect(await reload(absentAggregator, 'log: {level: info}\nrules: {disabled: [reset-storm]}\n')).not.toContain('other rules');
});
