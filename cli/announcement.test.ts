import { expect, test } from 'vitest';
import { announcement, storesOf } from './announcement.ts';
import { configSchema } from './config.ts';

test.each([
  [{}, ['data/events/*.ndjson']],
  [{ file: { dir: '/var/log/events' } }, ['/var/log/events/*.ndjson']],
  [{ file: { enabled: false } }, []],
  [
    {
      file: { enabled: false },
      loki: { enabled: true, url: 'https://loki' },
      elasticsearch: { enabled: true, urls: ['https://a', 'https://b'] },
    },
    ['https://loki', 'https://a', 'https://b'],
  ],
])('with %j events are said to go to %j, and nowhere else', (sinks, expected) => {
  const stores = storesOf(configSchema.parse({ sinks }), 'data');
  expect(stores).toEqual(expected);
  const [first, ...rest] = announcement(undefined, stores, undefined)
    .split('\n')
    .flatMap((line) => /^ {2}(?:events {3}| {9}) (\S+)$/.exec(line)?.slice(1) ?? []);
  expect([first, ...rest]).toEqual(expected.length === 0 ? [undefined] : expected);
});
