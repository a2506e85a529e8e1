import { expect, test } from 'vitest';
import { connectionRequest, parseConnection, parseEntries, statsRequest, type Tuple } from './ctnetlink.ts';
import { translatedFarEnd } from './far-end.ts';

const ipv4 = (...bytes: number[]): Buffer => Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), Buffer.from(bytes)]);
const tuple = (source: Buffer, sourcePort: number, destination: Buffer, destinationPort: number): Tuple => ({
  source,
  destination,
  sourcePort,
  destinationPort,
});

const pod = ipv4(10, 244, 1, 2);
const service = ipv4(10, 96, 0, 1);
const backend = ipv4(10, 244, 1, 3);
const node = ipv4(192, 0, 2, 1);

/** Bytes as ctnetlink writes them for an IPv4 connection, from the kernel's layout. */
function answer(original: Tuple, reply: Tuple): Buffer {
  // A request has the same nesting: its tuple is the first attribute behind both headers.
  const tupleBytes = (of: Tuple): Buffer => connectionRequest(6, of).subarray(20);
  const second = Buffer.from(tupleBytes(reply));
  second.writeUInt16LE(2 | 0x8000, 2);
  const body = Buffer.concat([connectionRequest(6, original), second]);
  body.writeUInt32LE(body.length, 0);
  body.writeUInt16LE(0x0100, 4);
  return body;
}

test('a request names the tuple in the attributes of nfnetlink_conntrack.h', () => {
  const bytes = connectionRequest(6, tuple(pod, 40_000, service, 80));
  expect(bytes.toString('hex')).toBe(
    // nlmsghdr, nfgenmsg, CTA_TUPLE_ORIG { CTA_TUPLE_IP { src, dst }, CTA_TUPLE_PROTO { num, sport, dport } }
    '48000000' +
      '0101' +
      '0500' +
      '00000000' +
      '00000000' +
      '02000000' +
      '34000180' +
      '14000180' +
      '080001000af40102' +
      '080002000a600001' +
      '1c000280' +
      '0500010006000000' +
      '060002009c400000' +
      '0600030000500000',
  );
  expect(bytes.readUInt32LE(0)).toBe(bytes.length);
});

test('IPv6 addresses go in their own attributes', () => {
  const a = Buffer.from('20010db8000000000000000000000001', 'hex');
  const b = Buffer.from('20010db8000000000000000000000002', 'hex');
  const bytes = connectionRequest(17, tuple(a, 1, b, 53));
  expect(bytes[16]).toBe(10);
  expect(parseConnection(answer(tuple(a, 1, b, 53), tuple(b, 53, a, 1)))).toEqual({
    original: tuple(a, 1, b, 53),
    reply: tuple(b, 53, a, 1),
  });
});

test.each([
  ['a client behind DNAT sees the service; the backend answers', tuple(pod, 40_000, service, 80), { address: backend, port: 8080 }],
  ['the backend sees the client as it is', tuple(backend, 8080, pod, 40_000), undefined],
  ['who is no end of it is told nothing', tuple(node, 1, service, 80), undefined],
])('%s', (_, seen, expected) => {
  const connection = { original: tuple(pod, 40_000, service, 80), reply: tuple(backend, 8080, pod, 40_000) };
  expect(translatedFarEnd(seen, parseConnection(answer(connection.original, connection.reply))!)).toEqual(expected);
});

test('a server behind masquerading sees the node; a Pod asked', () => {
  const server = ipv4(198, 51, 100, 7);
  const connection = { original: tuple(pod, 40_000, server, 443), reply: tuple(server, 443, node, 61_000) };
  expect(translatedFarEnd(tuple(server, 443, node, 61_000), connection)).toEqual({ address: pod, port: 40_000 });
  expect(translatedFarEnd(tuple(pod, 40_000, server, 443), connection)).toBeUndefined();
});

test('only the port may be translated', () => {
  const connection = { original: tuple(pod, 40_000, backend, 80), reply: tuple(backend, 8080, pod, 40_000) };
  expect(translatedFarEnd(tuple(pod, 40_000, backend, 80), connection)).toEqual({ address: backend, port: 8080 });
});

test('answers that are cut, or of something else, are none', () => {
  const whole = answer(tuple(pod, 1, service, 2), tuple(backend, 3, pod, 1));
  for (let length = 0; length < whole.length; length++) {
    const cut = Buffer.from(whole.subarray(0, length));
    if (length >= 4) cut.writeUInt32LE(length, 0);
    expect(parseConnection(cut)).toBeUndefined();
  }
  expect(parseEntries(whole)).toBe(0);
  expect(parseConnection(statsRequest)).toBeUndefined();
});
