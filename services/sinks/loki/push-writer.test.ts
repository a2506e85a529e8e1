import fc from 'fast-check';
import { expect, test } from 'vitest';
import { varintLength, writeVarint } from '../../../core/varint.ts';
import { jitterscope } from '../../../proto/gen/loki.js';
import { decodeEventBatch, EventBatchWriter } from '../../../schema/event-batch.ts';
import { PushWriter } from './push-writer.ts';
import { type Stream, Streams } from './streams.ts';

const { PushRequest } = jitterscope.loki.v1;

const word = fc.oneof(fc.constantFrom('', 'shop', 'web-0', 'node1'), fc.string({ unit: 'grapheme', maxLength: 200 }));
const rowArbitrary = fc.record({
  seconds: fc.oneof(fc.constantFrom(0, 1, 2 ** 31, 2 ** 33), fc.integer({ min: 1_700_000_000, max: 2_000_000_000 })),
  nanos: fc.oneof(fc.constantFrom(0, 1, 127, 128, 999_999_999), fc.integer({ min: 0, max: 999_999_999 })),
  number: fc.oneof(fc.constantFrom(0, Number.MAX_SAFE_INTEGER), fc.nat()),
  namespace: word,
  pod: word,
  node: word,
  uid: word,
  text: fc.string({ unit: 'grapheme', maxLength: 300 }),
});
type Row = typeof rowArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

function viewOf(rows: readonly Row[]) {
  const writer = new EventBatchWriter();
  for (const [index, { seconds, nanos, number, namespace, pod, node, uid, text }] of rows.entries()) {
    writer.putLine(`${JSON.stringify({ text })}\n`);
    writer.add(seconds, nanos, index, 0, '9c1f0b7a52e4d386', number, 1, 'tcpreset', 1, namespace, pod, node, uid);
  }
  return decodeEventBatch(writer.finish(0));
}

/** What the schema's own encoder is given for the same push. */
function plainOf(stream: Stream, rows: readonly Row[]) {
  const pair = (name: string, value: string) => (value === '' ? [] : [{ name, value }]);
  const entries = rows.map(({ seconds, nanos, number, namespace, pod, node, uid, text }) => ({
    timestamp: { seconds, nanos },
    line: Buffer.from(JSON.stringify({ text })),
    structuredMetadata: [
      { name: 'event_id', value: `9c1f0b7a52e4d386-${number}` },
      ...pair('node', node),
      ...pair('namespace', namespace),
      ...pair('pod', pod),
      ...pair('uid', uid),
    ],
  }));
  return { streams: [{ labels: stream.labels, entries }] };
}

test('what is assembled by hand is what the schema says, also by a writer that was used before', () => {
  const writer = new PushWriter(1024);
  fc.assert(
    fc.property(fc.array(rowArbitrary, { minLength: 1, maxLength: 20 }), (rows) => {
      const view = viewOf(rows);
      const stream = new Streams('c1').take(view, 0);
      const bytes = writer.write(stream, view, Uint32Array.from(rows.keys()));
      expect(PushRequest.decode(bytes)).toEqual(PushRequest.decode(PushRequest.encode(plainOf(stream, rows)).finish()));
    }),
    { numRuns: 200 },
  );
});

test('only the named rows are written', () => {
  const rows: Row[] = [0, 1, 2, 3].map((number) => ({
    seconds: 1_795_000_000 + number,
    nanos: 7,
    number,
    namespace: 'shop',
    pod: `web-${number}`,
    node: 'n',
    uid: '',
    text: '',
  }));
  const view = viewOf(rows);
  const { streams } = PushRequest.decode(new PushWriter().write(new Streams('c1').take(view, 0), view, Uint32Array.of(1, 3)));
  expect(streams?.[0].entries?.map(({ structuredMetadata }) => structuredMetadata?.[0].value)).toEqual([
    '9c1f0b7a52e4d386-1',
    '9c1f0b7a52e4d386-3',
  ]);
});

test('a varint has the length that is told', () => {
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat()), (value) => {
      const bytes = Buffer.alloc(10);
      const length = writeVarint(bytes, 0, value);
      expect(length).toBe(varintLength(value));
      let read = 0n;
      for (let at = 0; at < length; at++) read |= BigInt(bytes[at] & 127) << BigInt(7 * at);
      expect(read).toBe(BigInt(value));
    }),
  );
});
