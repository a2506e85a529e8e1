import { isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressText } from './address-text.ts';
import { LineBuffer } from './line-buffer.ts';

function written(write: (line: LineBuffer) => void): string {
  const bytes = Buffer.alloc(256, '?');
  const line = new LineBuffer();
  line.use(bytes, 3);
  write(line);
  expect(bytes.toString('latin1', 0, 3)).toBe('???');
  expect(bytes.toString('latin1', line.at)).toBe('?'.repeat(256 - line.at));
  return bytes.toString('utf8', 3, line.at);
}

function groups(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
}

// RFC 5952, section 4: no leading zeros, the longest run of zeros, the first of two, never a single one, lower case.
test.each([
  [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], '2001:db8::1'],
  [[0x2001, 0xdb8, 0, 0, 0, 0, 2, 1], '2001:db8::2:1'],
  [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], '2001:db8:0:1:1:1:1:1'],
  [[0x2001, 0, 0, 1, 0, 0, 0, 1], '2001:0:0:1::1'],
  [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], '2001:db8::1:0:0:1'],
  [[0x2001, 0xdb8, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0xaaaa], '2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa'],
  [[0, 0, 0, 0, 0, 0, 0, 0], '::'],
  [[0, 0, 0, 0, 0, 0, 0, 1], '::1'],
  [[1, 0, 0, 0, 0, 0, 0, 0], '1::'],
  [[0, 1, 0, 0, 0, 0, 0, 0], '0:1::'],
  [[0, 0, 1, 1, 1, 1, 1, 1], '::1:1:1:1:1:1'],
  [[1, 1, 1, 1, 1, 1, 0, 0], '1:1:1:1:1:1::'],
  [[0, 1, 1, 1, 1, 1, 1, 0], '0:1:1:1:1:1:1:0'],
  [[0xfe80, 0, 0, 0, 0xf, 0xff, 0xfff, 0xffff], 'fe80::f:ff:fff:ffff'],
  [[0x1000, 0x100, 0x10, 1, 0, 0, 0, 0], '1000:100:10:1::'],
  [[0, 0, 0, 0, 0, 0xffff, 0x0af4, 0x0102], '10.244.1.2'],
  [[0, 0, 0, 0, 0, 0xffff, 0, 0], '0.0.0.0'],
  [[0, 0, 0, 0, 0, 0xffff, 0xffff, 0xffff], '255.255.255.255'],
  [[0, 0, 0, 0, 0, 0, 0x0af4, 0x0102], '::af4:102'],
  [[0, 0, 0, 0, 1, 0xffff, 1, 1], '::1:ffff:1:1'],
])('%j is %s', (values, text) => {
  expect(addressText(groups(...values), 0)).toBe(text);
});

const group = fc.oneof(fc.constantFrom(0, 0, 0, 1, 0xf, 0x10, 0xff, 0x100, 0xfff, 0x1000, 0xffff), fc.nat({ max: 0xffff }));

test('any IPv6 address is written as URL and the system write it', () => {
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.nat({ max: 7 }), (values, at) => {
      fc.pre(!values.slice(0, 5).every((value) => value === 0));
      const bytes = Buffer.concat([Buffer.alloc(at, 9), groups(...values)]);
      const text = addressText(bytes, at);
      expect(isIP(text)).toBe(6);
      const long = values.map((value) => value.toString(16)).join(':');
      expect(`[${text}]`).toBe(new URL(`http://[${long}]`).hostname);
      expect(text).toBe(new SocketAddress({ address: long, family: 'ipv6' }).address);
    }),
    { numRuns: 2000 },
  );
});

test('any IPv4 address is written in dots', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 255 }), { minLength: 4, maxLength: 4 }), (bytes) => {
      expect(addressText(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes), 0)).toBe(bytes.join('.'));
    }),
  );
});

test('integers are written in full at every number of digits', () => {
  const edges = Array.from({ length: 16 }, (_, digits) => 10 ** digits).flatMap((power) => [power - 1, power, power + 1]);
  for (const value of [...edges, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])
    expect(written((line) => line.integer(value))).toBe(String(value));
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(written((line) => line.integer(value))).toBe(String(value));
    }),
  );
});

test('what is above the safe integers is still a number of JSON', () => {
  for (const value of [2 ** 53, 2 ** 63, 2 ** 64]) expect(written((line) => line.integer(value))).toMatch(/^\d+$/);
});

test('padded numbers have all their digits', () => {
  fc.assert(
    fc.property(fc.nat({ max: 999_999_999 }), (value) => {
      expect(written((line) => line.padded(value, 9))).toBe(String(value).padStart(9, '0'));
    }),
  );
  for (const value of [0, 1, 999_999_999, 100_000_000])
    expect(written((line) => line.padded(value, 9))).toBe(String(value).padStart(9, '0'));
});

test('text becomes a string of JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
      expect(JSON.parse(written((line) => line.json(text)))).toBe(text);
    }),
  );
});

test('it goes on with another buffer, and at another place of the same one', () => {
  const [one, two] = [Buffer.alloc(8, '.'), Buffer.alloc(8, '.')];
  const line = new LineBuffer();
  line.use(one, 0);
  line.ascii('ab');
  line.use(two, 1);
  line.ascii('cd');
  line.use(one, 4);
  line.byte(101);
  // A view of the same memory, as typed arrays often are.
  line.use(new Uint8Array(two.buffer, two.byteOffset, 8), 6);
  line.fragment(Buffer.from('fg'));
  expect([one.toString(), two.toString()]).toEqual(['ab..e...', '.cd...fg']);
});
