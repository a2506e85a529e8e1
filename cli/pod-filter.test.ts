import { expect, test } from 'vitest';
import { parsePod } from './pod-filter.ts';

test.each([
  ['shop/web-0', { namespace: 'shop', pod: 'web-0' }],
  ['web-0', { pod: 'web-0' }],
  ['', undefined],
  ['/web-0', undefined],
  ['shop/', undefined],
  ['shop/web-0/nginx', undefined],
])('the Pod %j is read as %j', (text, expected) => {
  expect(parsePod(text)).toEqual(expected);
});
