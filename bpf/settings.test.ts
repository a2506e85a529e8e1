import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  bucketKey,
  decodeSettings,
  defaultSettings,
  encodeSettings,
  netFilterKey,
  netFilterValue,
  type ProbeSettings,
} from './settings.ts';

test('settings are read back as they were written', () => {
  const settings = fc.record<ProbeSettings>({
    intervalNs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    burst: fc.integer({ min: 0, max: 0xffff_ffff }),
    filterMode: fc.constantFrom('all', 'listed', 'unlisted'),
  });
  fc.assert(
    fc.property(settings, (value) => {
      expect(decodeSettings(encodeSettings(value))).toEqual(value);
    }),
  );
});

test('the bytes are those of struct settings', () => {
  expect(Buffer.from(encodeSettings(defaultSettings)).toString('hex')).toBe('002d310100000000c800000000000000');
});

test('a namespace has a bit for each probe that lists it', () => {
  expect(Buffer.from(netFilterValue([])).toString('hex')).toBe('0000000000000000');
  expect(Buffer.from(netFilterValue([1, 5, 63])).toString('hex')).toBe('2200000000000080');
});

test('keys are little-endian, at full width', () => {
  expect(Buffer.from(netFilterKey(2n ** 64n - 2n)).toString('hex')).toBe('feffffffffffffff');
  expect(Buffer.from(bucketKey(4567, 1)).toString('hex')).toBe('d7110000000000000100000000000000');
});
