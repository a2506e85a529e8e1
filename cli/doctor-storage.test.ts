import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import { configSchema } from './config.ts';
import { folderFindings, growthFindings } from './doctor-storage.ts';
import type { LogGrowth } from './storage-rates.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-storage-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const mib = 2 ** 20;

function log(name: string, bytes: number, bytesPerSecond: number): LogGrowth {
  return { name, bytes, maxBytes: 512 * mib, earliest: 0, next: 1, bytesPerSecond, overSeconds: 60 };
}

test.each<[string, LogGrowth, string, string]>([
  [
    'what is left of the spool',
    log('spool', 152 * mib, mib / 10),
    'ok',
    '152 MiB of 512 MiB; at the 102 KiB/s of the last 60 s it lasts 1.0 hours without the gateway',
  ],
  [
    'a spool that is soon full',
    log('spool', 500 * mib, mib),
    'degraded',
    '500 MiB of 512 MiB; at the 1.0 MiB/s of the last 60 s it lasts 0 minutes',
  ],
  [
    'a log of which the oldest go: all that it keeps',
    log(topics.events, 512 * mib, mib / 100),
    'ok',
    'it lasts 14.2 hours without a sink that reads',
  ],
  ['a log that nothing comes into', log(topics.raw, 3 * mib, 0), 'ok', '3.0 MiB of 512 MiB; nothing came in 60 s'],
  ['a log that lasts long', log(topics.deadLetters, 0, 10), 'ok', 'it lasts 621 days'],
])('%s', (_, growth, state, found) => {
  const [finding] = growthFindings([growth]);
  expect(finding).toMatchObject({ area: 'data', state, found: expect.stringContaining(found) });
  expect(finding.remedy !== undefined).toBe(state !== 'ok');
});

test('logs without a meaning are passed over', () => {
  expect([...growthFindings([log('state', 1, 1)])]).toEqual([]);
});

test('caps that do not fit into what is free are told; a folder that is not there yet is looked at where it would be', () => {
  const folder = join(dir, 'not', 'there');
  expect([...folderFindings(folder, configSchema.parse({}))]).toMatchObject([
    { what: folder, found: expect.stringMatching(/free; the caps take up to 3\.5 GiB/) },
  ]);
  const large = configSchema.parse({ bus: { rawSize: '900000GiB' } });
  expect([...folderFindings(folder, large)]).toMatchObject([{ state: 'degraded', remedy: expect.stringContaining('bus.*') }]);
});
