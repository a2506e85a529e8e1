import fc from 'fast-check';
import { Writer } from 'protobufjs/minimal.js';
import { expect, test } from 'vitest';
import { WordReader } from './word-reader.ts';

const wordsArbitrary = fc.array(
  fc.oneof(fc.constantFrom('', 'shop', 'x'.repeat(64), 'x'.repeat(65)), fc.string({ unit: 'grapheme', maxLength: 80 })),
  { maxLength: 40 },
);

test('words are read as they were written, also those that share the place of others', () => {
  const written = (words: readonly string[]) => words.reduce((writer, word) => writer.string(word), Writer.create()).finish();
  const agrees = (words: readonly string[]) => {
    const reader = new WordReader(written(words));
    expect(words.map(() => reader.stringVerify())).toEqual(words);
    expect(reader.pos).toBe(reader.len);
  };
  fc.assert(fc.property(wordsArbitrary, agrees));
  const many = Array.from({ length: 20_000 }, (_, number) => `web-${number}-7d4b9c`);
  agrees([...many, ...many]);
});

test('words that are cut off or no UTF-8 are refused, not read', () => {
  expect(() => new WordReader(Uint8Array.of(5, 104, 105)).stringVerify()).toThrow('index out of range');
  expect(() => new WordReader(Uint8Array.of(2, 0xc3, 0x28)).stringVerify()).toThrow();
});
