import { expect, test } from 'vitest';
import { ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

test('a finding opens once it held for `for` and `settle`, and resolves once it did not for `keep_firing_for`', () => {
  const { told, transitions } = new TestEngine(ruleSet(testRule())).record(10.5).until(60);
  // The record is in the window of 10 s up to second 19; settle 2; keep 5.
  expect(told).toEqual(['12 1 opened 2', '24 2 resolved 2']);
  expect(transitions[0]).toMatchObject({
    message: 'shop/web-0: 1 resets',
    values: [['resets', 1]],
    samples: [expect.stringMatching(/-0$/)],
  });
});
