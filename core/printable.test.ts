import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableJson } from './printable.ts';

const hostile: readonly [string, string][] = [
  ['an escape sequence', '\u001b[2J'],
  ['a line break', '\n'],
  ['a C1 control (CSI)', '\u009b'],
  ['DEL', '\u007f'],
  ['a bidirectional override', '\u202e'],
  ['a bidirectional isolate', '\u2066'],
  ['a zero width space', '\u200b'],
  ['a tag, two code units long', '\u{e0041}'],
  ['half a surrogate pair', '\ud800'],
  ['a line separator', '\u2028'],
];

test.each(hostile)('%s is not printed', (_, text) => {
  expect(printable(`a${text}b`)).not.toContain(text);
  expect(printable(`a${text}b`)).toMatch(/^a\ufffd.*b$/u);
  expect(printableJson(JSON.stringify(`a${text}b`))).not.toContain(text);
});

test('letters of any script, and emoji, stay as they are', () => {
  expect(printable('web-0 [ü] 日本 🚀')).toBe('web-0 [ü] 日本 🚀');
});

test('a line of JSON means the same when it is made printable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const line = JSON.stringify({ [text]: text });
      expect(JSON.parse(printableJson(line))).toEqual(JSON.parse(line));
      expect(printableJson(line)).toBe(printableJson(printableJson(line)));
    }),
  );
});
