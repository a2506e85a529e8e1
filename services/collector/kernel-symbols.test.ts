import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KernelSymbols } from './kernel-symbols.ts';
import { LiveSymbols } from './live-symbols.ts';

const base = 0xffff_ffff_8100_0000n;

function line(offset: number, type: string, name: string, module = ''): string {
  return `${BigInt.asUintN(64, base + BigInt(offset))
    .toString(16)
    .padStart(16, '0')} ${type} ${name}${module && `\t[${module}]`}\n`;
}

const text = [
  line(0, 'T', '_stext'),
  line(0x100, 't', 'first_function'),
  line(0x180, 'd', 'some_data'),
  line(0x200, 'T', 'second_function.isra.0'),
  line(0x300, 'W', 'weak_function'),
  line(0x400, 't', 'second_function.cold'),
  line(0x500, 'T', '_etext'),
  line(-0x2000, 't', 'module_function', 'nft'),
  line(-0x1000, 't', 'module_end', 'nft'),
].join('');

function parse(kallsyms: string): KernelSymbols {
  return KernelSymbols.parse(Buffer.from(kallsyms)) as KernelSymbols;
}

test('a return address is told by the function of its call', () => {
  const symbols = parse(text);
  expect([symbols.stext, symbols.size]).toEqual([base, 8]);
  const told = [0x101, 0x1ff, 0x200, 0x201, 0x300, 0x301, 0x4ff].map((offset) => symbols.nameOf(offset));
  expect(told).toEqual([
    ...['first_function', 'first_function', 'first_function'],
    ...['second_function', 'second_function', 'weak_function', 'second_function'],
  ]);
  expect(symbols.nameOf(2 ** 32 - 0x1800)).toBe('module_function');
  // Nobody knows where the last function ends.
  expect(symbols.nameOf(2 ** 32 - 1)).toBe('');
  expect([symbols.isOwn(0x4ff), symbols.isOwn(0x500), symbols.isOwn(2 ** 32 - 0x1800)]).toEqual([true, false, false]);
});

test('all parts of a function are its code', () => {
  const symbols = parse(text);
  expect(symbols.ranges('second_function')).toEqual([
    { start: 0x200, bytes: 0x100 },
    { start: 0x400, bytes: 0x100 },
  ]);
  expect(symbols.ranges('second')).toEqual([]);
  expect(symbols.ranges('module_function')).toEqual([{ start: 2 ** 32 - 0x2000, bytes: 0x1000 }]);
});

test.each([
  ['nothing', ''],
  ['addresses that are hidden', '0000000000000000 T _stext\n0000000000000000 T foo\n'],
  ['no _stext', line(0, 'T', 'foo')],
  ['half a line', 'ffffffff81'],
])('%s gives no symbols', (_, kallsyms) => {
  expect(KernelSymbols.parse(Buffer.from(kallsyms))).toBeUndefined();
});

test('whatever the order of the lines, each place is in the last function that begins at or before it', () => {
  const functions = fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(functions, fc.integer({ min: 1, max: 10_000 }), (starts, place) => {
      const symbols = parse([line(0, 'T', '_stext'), ...starts.map((start) => line(start, 't', `at_${start}`))].join(''));
      const sorted = [...starts].sort((a, b) => a - b);
      const holder = sorted.filter((start) => start <= place).at(-1);
      const expected = holder === undefined ? '_stext' : holder === sorted.at(-1) ? '' : `at_${holder}`;
      expect(symbols.nameOf(place + 1)).toBe(expected);
    }),
  );
});

test('modules that were loaded later are read when their code is asked for, and only then', () => {
  const folder = mkdtempSync(join(tmpdir(), 'symbols-'));
  try {
    const files = { symbols: join(folder, 'kallsyms'), modules: join(folder, 'modules') };
    writeFileSync(files.symbols, text);
    writeFileSync(files.modules, 'nft 1\n');
    const symbols = new LiveSymbols(files);
    writeFileSync(files.symbols, text.replace('module_function', 'other_function').replace('first_function', 'never_read'));
    writeFileSync(files.modules, 'other 1\n');
    expect(symbols.nameOf(0x101)).toBe('first_function');
    expect(symbols.nameOf(2 ** 32 - 0x1800)).toBe('other_function');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('code of a module is not told by its neighbour’s symbols while the modules are others', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'symbols-'));
  const files = { symbols: join(folder, 'kallsyms'), modules: join(folder, 'modules') };
  const place = 2 ** 32 - 0x1800;
  const later = () => new Promise((resolve) => setTimeout(resolve, 15));
  try {
    writeFileSync(files.symbols, text);
    writeFileSync(files.modules, 'nft 4096 5 other,third, Live 0xffffffff80ffe000\n');
    const symbols = new LiveSymbols(files);
    expect(symbols.nameOf(place)).toBe('module_function');
    await later();
    writeFileSync(files.modules, 'nft 4096 7 third, Live 0xffffffff80ffe000\n');
    expect(symbols.nameOf(place)).toBe('module_function');
    await later();
    writeFileSync(files.symbols, text.replace('module_function', 'second_module'));
    writeFileSync(files.modules, 'second 4096 0 - Live 0xffffffff80ffe000\n');
    expect(symbols.nameOf(place)).toBe('second_module');
    await later();
    // All symbols are not read again so soon.
    writeFileSync(files.modules, 'third 4096 0 - Live 0xffffffff80ffe000\n');
    expect(symbols.nameOf(place)).toBe('');
    expect(symbols.nameOf(0x101)).toBe('first_function');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a kernel that hides its symbols has no names, and says so by having no _stext', () => {
  const symbols = new LiveSymbols({ symbols: '/dev/null', modules: '/dev/null' });
  expect([symbols.stext, symbols.nameOf(5)]).toEqual([undefined, '']);
  expect(symbols.namesFor({ enumValues: () => undefined }).codeOf('tcp_v4_rcv')).toEqual([]);
});
