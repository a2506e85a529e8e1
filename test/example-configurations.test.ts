import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { configSchema } from '../cli/config.ts';
import { checkConfig } from '../core/config/load.ts';
import { commandsOf, exampleFiles } from './support/example-run.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const examples = exampleFiles();
const index = readFileSync(`${root}examples/README.md`, 'utf8');
const starters = readdirSync(`${root}test`)
  .filter((name) => /^examples\.\w+\.test\.ts$/.test(name))
  .map((name) => readFileSync(`${root}test/${name}`, 'utf8'))
  .join('\n');

test.each(examples)('the example %s is a configuration without a mistake', (example) => {
  const file = `${root}examples/${example}`;
  expect(checkConfig(configSchema, { file, text: readFileSync(file, 'utf8') })).toEqual([]);
});

test.each(examples)('the example %s says for whom it is and how it is started, is in the index, and a test starts it', (example) => {
  const text = readFileSync(`${root}examples/${example}`, 'utf8');
  expect(text).toMatch(/^# For /);
  const commands = commandsOf(example);
  expect(commands.length).toBeGreaterThan(0);
  // Each process has a data folder of its own.
  expect(new Set(commands.map((words) => words[words.indexOf('--data-dir') + 1])).size).toBe(commands.length);
  for (const words of commands) {
    expect(words).toContain(`examples/${example}`);
    expect(words).toContain('--data-dir');
  }
  expect(index).toContain(`(${example})`);
  expect(starters).toMatch(new RegExp(`run\\.start\\(\\s*'${example}'`));
});

// It runs in the network of its node, whose addresses anybody may reach.
test.each(examples.filter((example) => commandsOf(example).some((words) => !words.includes('--role') || words.includes('collector'))))(
  'the example %s shows /metrics of a collector on the loopback only',
  (example) => {
    const { metrics } = configSchema.parse(parse(readFileSync(`${root}examples/${example}`, 'utf8')));
    expect(metrics.listen).toMatch(/^(127\.0\.0\.1|off)\b/);
  },
);
