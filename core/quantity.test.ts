import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { duration, parseDurationMs, parseSize, size } from './quantity.ts';

test.each([
  ['0B', 0],
  ['1B', 1],
  ['64KiB', 65_536],
  ['1.5KiB', 1536],
  ['512 MiB', 536_870_912],
  [' 1GiB ', 1_073_741_824],
  ['1KB', 1000],
  ['2GB', 2_000_000_000],
])('%j is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  ['10ms', 10],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
])('%j is %d ms', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test.each([
  '',
  '5',
  's',
  '-5s',
  '+5s',
  '5S',
  '5 s s',
  '1e3s',
  '.5s',
  '5.s',
  '٣s',
  'NaNs',
  'Infinitys',
  '5constructor',
  '5toString',
  '5valueOf',
])('%j is no quantity', (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
  expect(parseSize(text)).toBeUndefined();
});

test('whatever the text, a quantity is a safe integer or undefined', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.double(), fc.constantFrom('ms', 's', 'KiB', 'd')).map(([n, unit]) => `${n}${unit}`),
      ),
      (text) => {
        for (const value of [parseDurationMs(text), parseSize(text)]) expect(value === undefined || Number.isSafeInteger(value)).toBe(true);
      },
    ),
  );
});

// A timer of more than 2^31 - 1 ms fires at once.
test.each([
  ['24d', 2_073_600_000],
  ['25d', undefined],
  ['2147483647ms', 2_147_483_647],
  ['2147483648ms', undefined],
])('the duration %s is one that a timer can wait: %s', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test('sizes beyond what a double counts exactly are refused', () => {
  expect(parseSize('9007199254740991B')).toBe(Number.MAX_SAFE_INTEGER);
  expect(parseSize('9007199254740992B')).toBeUndefined();
});

test('a field says what was found and what is expected', () => {
  const schema = z.strictObject({ linger: duration('200ms'), cap: size('1MiB') });
  expect(schema.parse({})).toEqual({ linger: 200, cap: 1_048_576 });
  const messages = (input: unknown) => schema.safeParse(input).error?.issues.map(({ message }) => message);
  expect(messages({ linger: 5 })).toEqual([expect.stringMatching(/^found 5, expected a duration such as 30s/)]);
  expect(messages({ linger: 'soon' })).toEqual([expect.stringMatching(/^found "soon", expected a duration such as 30s/)]);
  expect(messages({ linger: '0s' })).toEqual([expect.stringMatching(/^found "0s", .*above 0$/)]);
  expect(messages({ cap: ['1MiB'] })).toEqual([expect.stringMatching(/^found \["1MiB"\], expected a size such as 64MiB/)]);
});
