import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeDeadLetter } from './dead-letter.ts';
import { deadLetterError } from './dead-letter-box.ts';
import { encodeClaim, encodeSettlement, entryOf, toRanges } from './letter-entries.ts';
import { LetterLedger } from './letter-ledger.ts';

const letter = encodeDeadLetter({
  stage: 'sink',
  target: 'loki',
  error: deadLetterError('DEAD_LETTER_CLAIMED', { id: '0-0' }),
  topic: 'events',
  partition: 0,
  offset: 7,
  payload: Buffer.from('x'),
});
const forever = Date.now() + 3_600_000;
const claimOf = (id: string, offsets: readonly number[], untilMs = forever) =>
  encodeClaim({ id, ranges: toRanges(offsets), untilMs, ended: false });
const endOf = (id: string, doubtful: readonly number[]) => encodeClaim({ id, ranges: toRanges(doubtful), untilMs: forever, ended: true });
const [one, two] = ['0123456789abcdef', 'fedcba9876543210'];

/** A ledger that has read these messages from an offset on. */
function ledgerOf(values: readonly Uint8Array[], from = 0): LetterLedger {
  const ledger = new LetterLedger(from);
  ledger.learn({ messages: values.map((value, index) => ({ offset: from + index, value })), next: from + values.length });
  return ledger;
}

test('letters wait until a message behind them settles them, whatever else is in between', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('letter'), fc.array(fc.nat({ max: 40 }), { maxLength: 8 })), { maxLength: 40 }), (steps) => {
      const waiting = new Set<number>();
      const values = steps.map((step, offset) => {
        if (typeof step === 'string') {
          waiting.add(offset);
          return letter;
        }
        const before = [...new Set(step)].filter((named) => named < offset).sort((a, b) => a - b);
        for (const named of before) waiting.delete(named);
        return encodeSettlement({ id: '', ranges: toRanges(before) });
      });
      const ledger = ledgerOf(values);
      for (let offset = 0; offset < values.length; offset++) expect(ledger.waits(offset)).toBe(waiting.has(offset));
      expect(ledger.size).toBe(waiting.size);
      expect(ledger.floor).toBe(waiting.size === 0 ? values.length : Math.min(...waiting));
    }),
  );
});

test('bytes that are no entry are a letter, and settle nothing', () => {
  const ahead = encodeSettlement({ id: '', ranges: [{ from: 0, to: 9 }] });
  const cut = encodeSettlement({ id: '', ranges: [{ from: 0, to: 2 }] }).subarray(0, 3);
  const shortId = encodeClaim({ id: 'abcd', ranges: [], untilMs: forever, ended: false });
  for (const value of [new Uint8Array(0), Buffer.from([0x6a]), Buffer.from([0x72, 0xff]), ahead, cut, shortId]) {
    const ledger = ledgerOf([letter, letter, value]);
    expect([ledger.size, ledger.isClaimed(0)]).toEqual([3, false]);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0x6a, 0x72, 0x0a), (bytes, tag) => {
      const entry = entryOf(Uint8Array.of(tag, ...bytes), 2);
      for (const { from, to } of entry?.ranges ?? []) expect(from >= 0 && to > from && to <= 2).toBe(true);
    }),
  );
});

test('a claim holds until it ends or its time is over; what may be stored then is doubtful until it is settled', () => {
  const letters = [letter, letter, letter];
  const claimed = ledgerOf([...letters, claimOf(one, [0, 2])]);
  expect([0, 1, 2].map((offset) => claimed.isClaimed(offset))).toEqual([true, false, true]);
  expect([0, 1, 2].map((offset) => claimed.isDoubtful(offset))).toEqual([false, false, false]);

  const ended = ledgerOf([...letters, claimOf(one, [0, 2]), claimOf(two, [1]), endOf(one, [2])]);
  expect([0, 1, 2].map((offset) => ended.isClaimed(offset))).toEqual([false, true, false]);
  expect([0, 1, 2].map((offset) => ended.isDoubtful(offset))).toEqual([false, false, true]);

  const over = ledgerOf([...letters, claimOf(one, [0, 1], Date.now() - 1), encodeSettlement({ id: '', ranges: [{ from: 1, to: 2 }] })]);
  expect([0, 1].map((offset) => over.isClaimed(offset))).toEqual([false, false]);
  expect([0, 1, 2].map((offset) => over.isDoubtful(offset))).toEqual([true, false, false]);
});

test('what retention takes waits no more', () => {
  const ledger = ledgerOf([letter, letter, letter], 1_000_000);
  ledger.dropBelow(1_000_002);
  expect([ledger.size, ledger.floor, ledger.next]).toEqual([1, 1_000_002, 1_000_003]);
  ledger.dropBelow(2_000_000);
  expect([ledger.size, ledger.floor, ledger.next]).toEqual([0, 2_000_000, 2_000_000]);
});
