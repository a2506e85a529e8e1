import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RawMessage } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type RecordBatch } from '../../proto/collect.ts';
import { writeRecords } from '../../schema/record-writer.ts';
import { rebatched } from './rebatch.ts';

function raw(body: CollectorBody, node = 'n', at = 0): Buffer {
  return Buffer.from(
    RawMessage.encode({
      appended: { seconds: at, nanos: 0 },
      node,
      session: Buffer.alloc(16, 1),
      message: CollectorMessage.encode(body).finish(),
    }).finish(),
  );
}

function batch(firstItem: number, count: number, more: Partial<RecordBatch> = {}): RecordBatch {
  const records = writeRecords(
    Array.from({ length: count }, (_, i) => ({ sock: firstItem + i, tail: new Uint8Array(((firstItem + i) % 3) * 64) })),
  );
  const translations = Array.from({ length: count }, (_, index) => ({
    index,
    address: new Uint8Array(16),
    port: firstItem + index,
  })).filter(({ port }) => port % 3 === 1);
  return { firstItem, count, records, translations, clockOffset: { seconds: 5, nanos: 0 }, ...more };
}

async function run(messages: readonly Buffer[], maxBytes: number): Promise<Buffer[]> {
  const out: Buffer[] = [];
  for await (const message of rebatched(
    (async function* () {
      yield* messages;
    })(),
    maxBytes,
  ))
    out.push(message);
  return out;
}

/** What an aggregator sees: other messages as they are, records one by one, with losses and skips before them. */
function seen(messages: readonly Buffer[]): string[] {
  return messages.flatMap((bytes) => {
    const message = RawMessage.decode(bytes);
    const body = message.tick ? undefined : CollectorMessage.decode(message.message);
    const found = body?.batch;
    if (!found) return [bytes.toString('hex')];
    const {
      firstItem = 0,
      count = 0,
      records = new Uint8Array(0),
      skipped,
      kernelLosses,
      clockOffset,
      translations,
    } = found as Required<RecordBatch>;
    const told = skipped?.length || kernelLosses?.length ? [JSON.stringify({ skipped, kernelLosses })] : [];
    let at = 0;
    const items = Array.from({ length: count ?? 0 }, (_, index) => {
      const length = (records?.[at + 11] ?? 0) * 64;
      const record = Buffer.from(records?.subarray(at, at + length) ?? []).toString('hex');
      at += length;
      const port = translations?.find((one) => (one.index ?? 0) === index)?.port;
      return `${message.node} ${(firstItem ?? 0) + index} ${clockOffset?.seconds} ${port} ${record}`;
    });
    expect(at).toBe(records?.length ?? 0);
    return [...told, ...items];
  });
}

const step = fc.record({
  kind: fc.constantFrom('batch', 'batch', 'batch', 'beat', 'tick', 'gap', 'lost', 'clock', 'empty', 'other'),
  count: fc.nat({ max: 6 }),
});

test('cut and joined to any size, the records are the same, in the same order, with the same numbers', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.constantFrom(1, 128, 500, 1000, 1e6), async (steps, maxBytes) => {
      let [item, clock, seq] = [0, 5, 0];
      const messages = steps.map(({ kind, count }, at) => {
        seq++;
        if (kind === 'beat') return raw({ seq, heartbeat: { bootNs: at, nextItem: item } }, 'n', at);
        if (kind === 'tick') return Buffer.from(RawMessage.encode({ tick: { number: at } }).finish());
        if (kind === 'gap') item += 3;
        if (kind === 'clock') clock++;
        const lost =
          kind === 'lost'
            ? { kernelLosses: [{ probe: 1, count: at, reason: 'ring_full' }], skipped: [{ firstItem: 0, count: at, reason: 'x' }] }
            : {};
        const size = kind === 'empty' ? 0 : count;
        const message = raw(
          { seq, batch: batch(item, size, { clockOffset: { seconds: clock, nanos: 0 }, ...lost }) },
          kind === 'other' ? 'm' : 'n',
          at,
        );
        item += size;
        return message;
      });
      const out = await run(messages, maxBytes);
      expect(seen(out)).toEqual(seen(messages));
      for (const bytes of out) {
        const { message, tick } = RawMessage.decode(bytes);
        const records = tick ? undefined : CollectorMessage.decode(message).batch?.records;
        expect(records?.length ?? 0).toBeLessThanOrEqual(Math.max(maxBytes, 256));
      }
    }),
    { numRuns: 300 },
  );
});

test('it does join, and does cut', async () => {
  const messages = [raw({ seq: 1, batch: batch(0, 3) }), raw({ seq: 2, batch: batch(3, 3) })];
  expect(await run(messages, 1e6)).toHaveLength(1);
  expect(await run(messages, 1)).toHaveLength(6);
});

test.each([
  ['a record of no length', (b: RecordBatch) => void ((b.records as Uint8Array)[11] = 0)],
  ['a record beyond the end', (b: RecordBatch) => void ((b.records as Uint8Array)[11] = 200)],
  ['fewer records than items', (b: RecordBatch) => void (b.count = 4_000_000_000)],
  ['more records than items', (b: RecordBatch) => void (b.count = 1)],
])('a batch with %s passes as it is', async (_, damage) => {
  const damaged = batch(2, 3);
  damage(damaged);
  const messages = [raw({ seq: 1, batch: batch(0, 2) }), raw({ seq: 2, batch: damaged }), raw({ seq: 3, batch: batch(5, 2) })];
  const out = await run(messages, 1e6);
  expect(out.map((bytes) => bytes.equals(messages[1]))).toEqual([false, true, false]);
});

test('captured messages that cannot be decoded pass as they are', async () => {
  const garbage = Buffer.from('ffffffffffff', 'hex');
  const broken = Buffer.from(RawMessage.encode({ node: 'n', message: garbage }).finish());
  expect(await run([garbage, broken], 1000)).toEqual([garbage, broken]);
});
