import { expect, test } from 'vitest';
import { suggestion } from './suggestion.ts';

test.each([
  ['tcpreste', ['tcpretrans', 'tcpreset'], '; did you mean tcpreset?'],
  ['TCPRESET', ['tcpretrans', 'tcpreset'], '; did you mean tcpreset?'],
  ['dns', ['tcpretrans', 'tcpreset'], '; expected one of tcpretrans, tcpreset'],
  ['dns', [], ''],
  ['5', ['log', 'tcp'], '; expected one of log, tcp'],
])('for %s among %j', (word, known, expected) => {
  expect(suggestion(word, known)).toBe(expected);
});
