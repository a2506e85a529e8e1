import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RawMessage } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { decodeRaw } from './raw-input.ts';
import { batchOf, identityFault, netnsOf, rawOf, reset, sessionOne, TestPartition, tickOf } from './test-stream.ts';

const decode = (value: Uint8Array) => decodeRaw({ offset: 9, value }, 3);

test('a tick is told by its append time', () => {
  expect(decode(tickOf(4, 1_790_000_000_123))).toEqual({ kind: 'tick', offset: 9, appendedMs: 1_790_000_000_123 });
});

test('a message of a stream has its node, session and body', () => {
  expect(decode(rawOf({ seq: 5, batch: batchOf(7, 2) }, { appendedMs: 1500 }))).toMatchObject({
    kind: 'stream',
    offset: 9,
    appendedMs: 1500,
    node: 'node1',
    session: sessionOne,
    body: { seq: 5, batch: { firstItem: 7, count: 2 } },
  });
});

const records = Buffer.alloc(256);

test.each([
  ['no node', rawOf({ seq: 1, heartbeat: {} }, { node: '' }), /a node name of 0 bytes, expected 1 to 253/],
  ['a long node', rawOf({ seq: 1, heartbeat: {} }, { node: 'ü'.repeat(127) }), /a node name of 254 bytes/],
  ['a short session', rawOf({ seq: 1, heartbeat: {} }, { session: '0102' }), /a session of 2 bytes, expected 16/],
  ['more items than bytes', rawOf({ seq: 1, batch: { firstItem: 0, count: 3, records } }), /3 items in 256 bytes/],
  ['items without bytes', rawOf({ seq: 1, batch: { firstItem: 0, count: 4_000_000_000 } }), /4000000000 items in 0 bytes/],
  ['an item beyond 2^53', rawOf({ seq: 1, batch: { firstItem: Number.MAX_SAFE_INTEGER, count: 2, records } }), /item number/],
  ['a clock of the year 11000', rawOf({ seq: 1, batch: { clockOffset: { seconds: 3e11, nanos: 0 } } }), /clock offset/],
  ['more than a second of ns', rawOf({ seq: 1, batch: { clockOffset: { seconds: 1, nanos: 1e9 } } }), /clock offset/],
  [
    'a wall clock that no double holds',
    RawMessage.encode({ appended: { seconds: 2 ** 52, nanos: 0 }, node: 'n', session: new Uint8Array(16) }).finish(),
    /append time/,
  ],
  ['a tick of the year 3000', tickOf(1, 32_503_680_000_000), /append time 32503680000000 ms, expected a time between 1970 and 2262/],
  [
    'a heartbeat of more than 2^63 ns',
    rawOf({ seq: 1, heartbeat: { bootNs: 2 ** 63 + 4096 } }),
    /a boot time of 92233720368547\d+ ns, expected at most 2\^63 ns/,
  ],
  ['a sample of more than 2^63 ns', rawOf({ seq: 1, samples: { targets: [{ bootNs: 2 ** 64 - 4096 }] } }), /a boot time/],
])('%s is refused, with what was found', (_, value, message) => {
  expect(decode(value)).toMatchObject({
    kind: 'refused',
    offset: 9,
    bytes: value,
    error: { code: 'AGGREGATOR_BATCH_INVALID', message: expect.stringMatching(message), details: { offset: 9, partition: 3 } },
  });
});

test.each([2 ** 53 - 1, 8.7e12, 9_223_372_036, -1, -(2 ** 53)])('a first offset of %d s is refused', (seconds) => {
  const message = /a first offset of .* s and 0 ns, expected a wall clock between 1970 and 2262/;
  expect(decode(rawOf({ seq: 1, keyframe: { firstOffset: { seconds, nanos: 0 } } }))).toMatchObject({
    kind: 'refused',
    error: { code: 'AGGREGATOR_BATCH_INVALID', message: expect.stringMatching(message) },
  });
});

test.each([2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 110 * 86_400e9 + 2, 2 ** 62])('a node that has been up for %d ns is heard', (bootNs) => {
  const bodies = [{ heartbeat: { bootNs } }, { keyframe: { bootNs } }, { samples: { targets: [{ bootNs }] } }];
  for (const body of bodies) expect(decode(rawOf({ seq: 1, ...body }))).toMatchObject({ kind: 'stream', body });
});

test('any bytes are decoded or refused, never thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (value) => {
      expect(['tick', 'stream', 'refused']).toContain(decode(value).kind);
    }),
    { numRuns: 5000 },
  );
});

const whole = [
  rawOf({
    seq: 1,
    keyframe: {
      nextItem: 0,
      identity: { netns: [netnsOf(4101, { addresses: [new Uint8Array(16)], processes: [{ pid: 1, comm: 'a' }] })] },
      enums: [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] }],
    },
  }),
  rawOf({
    seq: 2,
    batch: {
      ...batchOf(0, 3, (item) => reset({ tail: item === 1 ? new Uint8Array(64) : new Uint8Array(0) })),
      skipped: [{ firstItem: 0, count: 1, reason: 'r' }],
      kernelLosses: [{ probe: 1, count: 2, reason: 'ring_full' }],
    },
  }),
  rawOf({ seq: 3, identity: { netns: [netnsOf(4102)] } }),
  rawOf({ seq: 4, heartbeat: { bootNs: 7e9, nextItem: 3, clockOffset: { seconds: -1, nanos: 5 } } }),
  tickOf(1, 99_000),
  rawOf({ seq: 5, replayed: Buffer.from('x') }),
  rawOf({ hello: { node: 'x' } }),
];

// The same path in CI at 100,000 cases: JITTERSCOPE_FUZZ_CASES.
const cases = Number(process.env.JITTERSCOPE_FUZZ_CASES ?? 3000);

test('damaged messages are counted and hurt nobody: the partition goes on, and every item has its place', async () => {
  let seed = 12_345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const partition = new TestPartition();
  let refused = 0;
  for (let n = 0; n < cases; n++) {
    const bytes = Buffer.from(whole[random(whole.length)]);
    for (let flips = random(4); flips >= 0; flips--) bytes[random(bytes.length)] = random(256);
    const cut = random(5) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    await partition.feed(cut);
    if (decode(cut).kind === 'refused') refused++;
    if (n % 100 === 0) expect(identityFault(partition.state)).toBeUndefined();
  }
  expect(partition.refused).toHaveLength(refused);
  expect(partition.state.dispositions.refusedMessages).toBe(refused);
  expect(refused).toBeGreaterThan(cases / 100);
  expect(identityFault(partition.state)).toBeUndefined();
  for (const line of partition.lines) JSON.parse(line);
  const after = await partition.feed(
    rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)] } } }, { node: 'other' }),
    rawOf({ seq: 2, batch: batchOf(0, 1) }, { node: 'other' }),
  );
  expect(after.parsed.at(-1)).toMatchObject({ host: { name: 'other' }, jitterscope: { identity: { source: 'netns' } } });
}, 600_000);

test('a body without any part is no fault of the partition', async () => {
  const partition = new TestPartition();
  await partition.feed(
    RawMessage.encode({ node: 'n', session: new Uint8Array(16), message: CollectorMessage.encode({ seq: 1 }).finish() }).finish(),
  );
  expect(partition.refused).toEqual([]);
  expect(identityFault(partition.state)).toBeUndefined();
});
