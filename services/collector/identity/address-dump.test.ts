import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressRequest, parseAddresses } from './address-dump.ts';

/**
 * The answer of kernel 6.18 in a namespace with `lo` up and a veth pair of 10.244.1.2/24, 10.244.1.3/24 (labelled),
 * 10.9.0.1 peer 10.9.0.2/32, 169.254.7.7/16 scope link, 2001:db8::1/64 and link-local addresses.
 */
const captured = readFileSync(new URL('fixtures/addresses.bin', import.meta.url));
const mapped = '00000000000000000000ffff';
const expected = [`${mapped}0a090001`, `${mapped}0af40102`, `${mapped}0af40103`, '20010db8000000000000000000000001'];

test('the addresses of a namespace are those that mean something outside of it, its own end of a point-to-point link', () => {
  expect(parseAddresses(captured)).toEqual(expected);
});

test('the request is RTM_GETADDR as a dump', () => {
  expect(addressRequest.protocol).toBe(0);
  expect(addressRequest.bytes.toString('hex')).toBe('180000001600010300000000000000000000000000000000');
});

test('an answer cut off anywhere gives the addresses before the cut', () => {
  let before = 0;
  for (let length = 0; length <= captured.length; length++) {
    const found = parseAddresses(captured.subarray(0, length));
    expect(expected).toEqual(expect.arrayContaining(found));
    expect(found.length).toBeGreaterThanOrEqual(before);
    before = found.length;
  }
  expect(before).toBe(expected.length);
});

test('the same address on two interfaces is one, and the order is that of the bytes', () => {
  expect(parseAddresses(Buffer.concat([captured, captured]))).toEqual(expected);
});

test('hostile bytes give addresses of 16 bytes or none, and end', () => {
  const flipped = fc.array(fc.tuple(fc.nat({ max: captured.length - 1 }), fc.nat({ max: 255 })), { maxLength: 20 }).map((changes) => {
    const bytes = Buffer.from(captured);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.oneof(
        flipped,
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      ),
      (bytes) => {
        for (const address of parseAddresses(bytes)) expect(address).toMatch(/^[0-9a-f]{32}$/);
      },
    ),
    { numRuns: 2000 },
  );
});

test.each(['00000000', '0f000000140000000000000000000000', 'ffffffff140000000000000000000000', '10000000140000000000000000000000'])(
  'the header %s holds no address',
  (hex) => {
    expect(parseAddresses(Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(64)]))).toEqual([]);
  },
);
