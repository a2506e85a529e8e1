import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../test-events.ts';
import { encodeBulk } from './encode.ts';
import { IndexNames } from './index-name.ts';
import { batchOfLines } from './test-lines.ts';

const day = 86_400;
const nowS = Date.UTC(2026, 10, 22, 12) / 1000;
const names = () => new IndexNames('flows', 90, () => nowS * 1000);

test('the body is an action and the line itself for each item, byte for byte', () => {
  const view = viewOf(0, 50);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 49 })), (rows) => {
      const items = Uint32Array.from(rows.sort((a, b) => a - b));
      const { bytes, sent, rejected } = encodeBulk({ partition: 0, view, items }, names());
      const name = names().forRequest();
      const expected = [...items].map((row) => {
        const action = JSON.stringify({ create: { _index: name(view.timeSeconds(row), view.appendedDay(row)), _id: view.id(row) } });
        return `${action}\n${Buffer.from(view.line(row)).toString()}`;
      });
      expect(bytes.toString()).toBe(expected.join(''));
      expect(sent).toEqual([...items.keys()]);
      expect(rejected).toEqual([]);
    }),
  );
});

test('text of any language stays as it is', () => {
  const line = JSON.stringify({ message: 'зависло — 卡住了 \u{1f4a5}' });
  expect(
    encodeBulk(batchOfLines([{ line }]), names())
      .bytes.toString()
      .split('\n')[1],
  ).toBe(line);
});

test.each(['', 'a"b', 'a b', 'ä', 'x'.repeat(513), '{"delete":{}}\n'])(
  'an id that is none is refused, and the others are sent: %j',
  (id) => {
    const { bytes, sent, rejected } = encodeBulk(batchOfLines([{ line: '{}' }, { id, line: '{}' }, { line: '{}' }]), names());
    // The number makes the empty prefix an id.
    const refused = id === '' ? [] : [1];
    expect(rejected.map(({ item }) => item)).toEqual(refused);
    expect(rejected.every(({ error }) => error.code === 'ELASTICSEARCH_ID_INVALID')).toBe(true);
    expect(sent).toEqual(id === '' ? [0, 1, 2] : [0, 2]);
    expect(bytes.toString().split('\n').length).toBe(2 * sent.length + 1);
  },
);

test.each([
  ['now', nowS, 'flows-2026.11.22'],
  ['the first second of a day', Date.UTC(2026, 10, 22) / 1000, 'flows-2026.11.22'],
  ['the last second of a day', Date.UTC(2026, 10, 22) / 1000 - 1, 'flows-2026.11.21'],
  ['tomorrow', nowS + day, 'flows-2026.11.23'],
  ['the day after tomorrow', nowS + 2 * day, 'flows-other-days'],
  ['90 days ago', nowS - 90 * day, 'flows-2026.08.24'],
  ['91 days ago', nowS - 91 * day, 'flows-other-days'],
  ['a clock that was never set', 0, 'flows-other-days'],
  ['the end of 64 bits', 2 ** 63 / 1e9, 'flows-other-days'],
])('the index is that of the day of the event: %s', (_, timeSeconds, expected) => {
  const today = Math.floor(nowS / day);
  expect(names().forRequest()(timeSeconds, today)).toBe(expected);
  expect(names().forRequest()(timeSeconds, 0)).toBe(expected);
});

test('an event goes to the same index whenever it is sent: the day on which it came decides what is plausible', () => {
  const anyDay = fc.integer({ min: 1, max: 60_000 });
  fc.assert(
    fc.property(anyDay, fc.integer({ min: -200, max: 200 }), anyDay, anyDay, (came, ahead, first, again) => {
      const timeS = Math.max(0, came + ahead) * day + 5;
      const nameAt = (today: number) => new IndexNames('flows', 90, () => today * day * 1000).forRequest()(timeS, came);
      expect(nameAt(again)).toBe(nameAt(first));
    }),
  );
});

test('no clocks make more indices than days that are plausible', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 2 ** 34, noNaN: true }), { maxLength: 2000 }), (times) => {
      const nameOf = new IndexNames('flows', 3, () => nowS * 1000).forRequest();
      expect(new Set(times.map((timeS) => nameOf(timeS, nowS / day))).size).toBeLessThanOrEqual(6);
    }),
  );
});
