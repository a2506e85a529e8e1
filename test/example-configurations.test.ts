import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configSchema } from '../cli/config.ts';
import { checkConfig } from '../core/config/load.ts';

const folder = new URL('../examples/', import.meta.url).pathname;
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

test.each(files)('the example %s is a configuration without a mistake', (name) => {
  const file = `${folder}${name}`;
  expect(checkConfig(configSchema, { file, text: readFileSync(file, 'utf8') })).toEqual([]);
});
