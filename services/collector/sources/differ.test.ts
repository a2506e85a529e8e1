import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { Baselines } from './baselines.ts';
import { type DifferCounts, TargetTotals } from './differ.ts';
import { FieldTable, LayoutNumbers, type Reading } from './field-table.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-differ-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One counter (Tcp.InSegs, or one of 32 bits) and one gauge. */
function target(bits: 32 | 64 = 64, restored?: ConstructorParameters<typeof TargetTotals>[1]) {
  const table = new FieldTable('snmp', new LayoutNumbers(), bits);
  const columns = Int32Array.of(table.indexOf('Tcp.InSegs'), table.indexOf('Tcp.CurrEstab'));
  const totals = new TargetTotals(table, restored);
  const counts: DifferCounts = { resets: 0, wraps: 0, repairs: 0 };
  const changed = new Int32Array(8);
  const read = (counter: number, gauge = 0): number => {
    const reading: Reading = { table, columns, values: Float64Array.of(counter, gauge) };
    totals.update(reading, counts, changed);
    return totals.total(0);
  };
  return { table, totals, counts, changed, read, columns };
}

test('a total is what the kernel prints, and a gauge is what it is', () => {
  const { read, totals, counts } = target();
  expect([read(5, 7), totals.total(1)]).toEqual([5, 7]);
  expect([read(9, 2), totals.total(1)]).toEqual([9, 2]);
  expect([read(9, -1), totals.total(1)]).toEqual([9, -1]);
  expect(counts).toEqual({ resets: 0, wraps: 0, repairs: 0 });
});

test('only what changed is told', () => {
  const { totals, changed, counts, columns, table } = target();
  const update = (...values: number[]): number[] => {
    const n = totals.update({ table, columns, values: Float64Array.from(values) }, counts, changed);
    return Array.from(changed.subarray(0, n));
  };
  expect([update(5, 7), update(5, 7), update(6, 7), update(6, 0), update(6, 0)]).toEqual([[0, 1], [], [0], [1], []]);
});

test('a counter that begins anew keeps what it counted before', () => {
  const { read, counts } = target();
  expect([read(1000), read(3), read(10), read(0), read(4)]).toEqual([1000, 1003, 1010, 1010, 1014]);
  expect(counts.resets).toBe(2);
});

test('a counter of 32 bits goes on beyond them; one that falls far has been reset', () => {
  const { read, counts } = target(32);
  expect([read(0xfffffff0), read(0x10), read(0x20)]).toEqual([0xfffffff0, 2 ** 32 + 16, 2 ** 32 + 32]);
  expect(counts).toMatchObject({ wraps: 1, resets: 0 });
  const other = target(32);
  expect([other.read(1000), other.read(1)]).toEqual([1000, 1001]);
  expect(other.counts).toMatchObject({ wraps: 0, resets: 1 });
});

test('a counter of 64 bits wraps only from its upper half', () => {
  const { read, counts } = target();
  read(2 ** 64 - 2 ** 12);
  expect(read(5)).toBe(2 ** 64 + 5);
  expect(counts).toMatchObject({ wraps: 1, resets: 0 });
});

test('a counter that falls a little is held, never falls, and counts nothing twice', () => {
  const { read, totals, counts } = target();
  expect([read(100), read(98), read(99), read(101)]).toEqual([100, 100, 100, 101]);
  expect(totals.repair()).toBe(0);
  expect([read(90), totals.repair(), read(91), read(92), totals.repair(), read(95)]).toEqual([101, 0, 101, 101, 1, 104]);
  expect(counts.resets).toBe(0);
});

test('whatever the kernel prints, a total never falls and grows by no more than was counted', () => {
  const steps = fc.array(fc.record({ more: fc.nat(1000), event: fc.constantFrom('none', 'none', 'none', 'reset', 'early', 'keyframe') }), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, fc.constantFrom(32 as const, 64 as const), fc.nat(2 ** 31), (all, bits, start) => {
      const { read, totals } = target(bits);
      let raw = start;
      let counted = start;
      let before = read(raw);
      let last = '';
      for (const { more, event: drawn } of all) {
        // Nothing is read early twice: the kernel catches up.
        const event = drawn === last ? 'none' : drawn;
        last = event;
        raw += more;
        counted += more;
        if (event === 'reset') raw = 0;
        if (event === 'keyframe') totals.repair();
        const total = read(event === 'early' ? Math.max(Math.ceil(raw / 2), raw - 3) : raw);
        expect(total).toBeGreaterThanOrEqual(before);
        expect(total).toBeLessThanOrEqual(counted);
        before = total;
      }
    }),
  );
});

test('without resets the total is the exact count, across any number of wraps', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 29 - 1), { maxLength: 100 }), (steps) => {
      const { read } = target(32);
      let counted = 0;
      for (const more of steps) {
        counted += more;
        expect(read(counted % 2 ** 32)).toBe(counted);
      }
    }),
  );
});

test('a total goes on over a restart of the collector, and a wrap while nobody looked is counted', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2 ** 29 - 1), fc.boolean()), { maxLength: 60 }), (steps) => {
      let one = target(32);
      let counted = 0;
      for (const [more, restarts] of steps) {
        counted += more;
        if (restarts) one = target(32, one.totals.baseline());
        expect(one.read(counted % 2 ** 32)).toBe(counted);
      }
    }),
  );
});

test('only what cannot be read from the kernel again is kept', () => {
  const plain = target();
  plain.read(1000);
  expect(plain.totals.baseline()).toBeUndefined();
  plain.read(3);
  expect(plain.totals.baseline()).toEqual({ 'Tcp.InSegs': [1000, 3] });
  const narrow = target(32);
  narrow.read(7, 5);
  expect(narrow.totals.baseline()).toEqual({ 'Tcp.InSegs': [0, 7] });
});

test('baselines are kept for the same boot, bounded, and a damaged file is none', () => {
  const file = join(folder, 'baselines.json');
  const first = new Baselines(file, 'boot-1');
  expect(first.of('a')).toBeUndefined();
  first.write([['a', { 'Tcp.InSegs': [5, 6] }]]);
  expect(new Baselines(file, 'boot-1').of('a')).toEqual({ 'Tcp.InSegs': [5, 6] });
  expect(new Baselines(file, 'boot-2').of('a')).toBeUndefined();
  first.write(Array.from({ length: 5000 }, (_, i) => [`t${i}`, { x: [1, 1] as const }] as const));
  expect([first.omitted, new Baselines(file, 'boot-1').of('t4095') !== undefined, new Baselines(file, 'boot-1').of('t4096')]).toEqual([
    904,
    true,
    undefined,
  ]);
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 100));
  expect(new Baselines(file, 'boot-1').of('t0')).toBeUndefined();
  expect(() => new Baselines(join(folder, 'none', 'x'), 'b').write([])).toThrow();
});
