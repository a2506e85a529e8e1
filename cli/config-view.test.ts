import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../core/config/load.ts';
import type { ReloadStatus } from '../core/config/reload.ts';
import { live, secret } from '../core/config/traits.ts';
import { viewOfLoaded, viewOfRunning, viewText } from './config-view.ts';

const schema = z.strictObject({
  level: live(z.string().default('warn')),
  password: secret(z.string().optional()),
  list: z.array(z.string()).default([]),
});

test('each setting is shown with its value and source; a secret is not', () => {
  const loaded = loadConfig(schema, { sets: ['password=hunter2', 'list=["a\u001b[31m"]'] });
  const view = viewOfLoaded(loaded);
  expect(JSON.stringify(view)).not.toContain('hunter2');
  expect(view).toEqual({
    settings: [
      { path: 'level', value: 'warn', from: { kind: 'default' }, live: true },
      { path: 'password', value: '(not shown)', from: { kind: 'set', path: 'password' }, live: false },
      { path: 'list', value: ['a\u001b[31m'], from: { kind: 'set', path: 'list' }, live: false },
    ],
  });
  const text = stripVTControlCharacters(viewText(view));
  expect(text.split('\n').map((line) => line.trim().split(/\s{2,}/))).toEqual([
    ['what jitterscope would start with'],
    ['level', 'warn', 'default'],
    ['password', '(not shown)', '--set'],
    ['list', '["a\\u001b[31m"]', '--set'],
    [''],
  ]);
});

test('of a running process also what it refused, and what waits for the next start', () => {
  const { settings } = loadConfig(schema, {});
  const [next] = loadConfig(schema, { sets: ['list=[b]'] }).settings.slice(2);
  const status: ReloadStatus = {
    successes: 3,
    failures: 1,
    lastSuccessful: false,
    lastSuccessUnixMs: Date.UTC(2026, 10, 22),
    problem: 'c.yaml:1:1: level: found 5, expected text\nc.yaml:2:1: nod: no such setting',
    settings,
    pending: [{ running: settings[2], next }],
  };
  const view = viewOfRunning(status);
  expect(view).toMatchObject({ pid: process.pid, reloads: { successes: 3, failures: 1, lastSuccess: '2026-11-22T00:00:00.000Z' } });
  expect(view.settings[2]).toMatchObject({ value: [], atNextStart: { value: ['b'], from: { kind: 'set' } } });
  const text = stripVTControlCharacters(viewText(view));
  expect(text).toContain('3 reloads, 1 refused; in effect since 2026-11-22T00:00:00.000Z');
  expect(text).toContain('the last one was refused:\n  c.yaml:1:1: level: found 5, expected text\n  c.yaml:2:1: nod: no such setting\n');
  expect(text).toMatch(/from the next start on \["b"\] {2}--set/);
});
