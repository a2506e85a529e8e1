import { expect, test } from 'vitest';
import { KernelCodeNames } from './kernel-names.ts';

test('what was told is known, also after a checkpoint; a stack’s id may come to mean another stack', () => {
  const names = new KernelCodeNames();
  names.learn({
    symbols: [
      { offset: 5, name: 'nf_hook_slow' },
      { offset: 6, name: '' },
    ],
    stacks: [{ id: 0, frames: ['a', 'b'] }],
  });
  names.learn({
    stacks: [
      { id: 0, frames: ['c'] },
      { id: -1, frames: [] },
    ],
  });
  const restored = new KernelCodeNames();
  restored.restore(JSON.parse(JSON.stringify(names.snapshot())));
  for (const one of [names, restored]) {
    expect([one.symbol(5), one.symbol(6), one.symbol(7), one.stack(0), one.stack(-1)]).toEqual([
      'nf_hook_slow',
      undefined,
      undefined,
      ['c'],
      undefined,
    ]);
  }
});

test('a hostile node fills neither memory nor lines', () => {
  const names = new KernelCodeNames();
  const long = 'x'.repeat(1_000_000);
  names.learn({
    symbols: [
      { offset: 1, name: long },
      { offset: 2, name: 'a"b' },
      { offset: 3, name: '\u0001' },
    ],
  });
  names.learn({
    stacks: [
      { id: 1, frames: [...Array.from({ length: 1000 }, () => 'f'), long] },
      { id: 2, frames: [long, 'g\n"'] },
    ],
  });
  expect([1, 2, 3].map((offset) => names.symbol(offset))).toEqual([undefined, undefined, undefined]);
  expect([names.stack(1)?.length, names.stack(2)]).toEqual([32, undefined]);
  names.learn({ symbols: Array.from({ length: 10_000 }, (_, offset) => ({ offset, name: 'f' })) });
  names.learn({ stacks: Array.from({ length: 10_000 }, (_, id) => ({ id, frames: ['f'] })) });
  const { symbols, stacks } = names.snapshot();
  expect([symbols.length, stacks.length, names.symbol(9999), names.symbol(0)]).toEqual([4096, 1024, 'f', undefined]);
});
