import { expect, test } from 'vitest';
import { type FindingState, pendingSince, type Sight, step } from './finding-state.ts';
import type { Severity } from './rule.ts';

/** `for` 2 s, `settle` 1 s, `keep_firing_for` 3 s. */
const timing = { forS: 2, settleS: 1, keepFiringForS: 3 };

/**
 * What each second does: severities from second 100 on, a character each (`.` none holds; `-` none holds, and `resolve`
 * does not; `l` sources are late, `o` nobody looks). The finding is pending since second 100. @param goneS second behind 100 from which its entity is gone
 */
function steps(severities: string, more: Partial<typeof timing> & { goneS?: number; leastKeepS?: number } = {}): string {
  const finding: FindingState = pendingSince(100, Number(severities[0]) as Severity);
  return [...severities]
    .map((character, index) => {
      const severity = ('.-lo'.includes(character) ? 0 : Number(character)) as Severity | 0;
      const state = character === 'l' ? 'late' : character === 'o' ? 'off' : 'clear';
      const sight: Sight = { state, leastKeepS: more.leastKeepS ?? 0 };
      const goneS = more.goneS !== undefined && index >= more.goneS ? 100 + more.goneS : 0;
      const taken = step(finding, { ...timing, ...more }, 100 + index, severity, character !== '-', goneS, sight);
      return taken === 'none'
        ? '.'
        : taken === 'open'
          ? `O${finding.severity}`
          : taken === 'update'
            ? `U${finding.severity}`
            : taken === 'drop' || taken === 'lose'
              ? taken[0].toUpperCase()
              : 'R';
    })
    .join('');
}

test.each([
  ['2222', '...O2', 'opens once it held for `for` and `settle`'],
  ['222.', '...D', 'is dropped when it does not hold on'],
  ['2222...', '...O2..R', 'resolves when `keep_firing_for` passed since it held last'],
  ['2222..2...', '...O2.....R', 'goes on when it holds again'],
  ['2222-----.', '...O2.....R', 'waits for `resolve`'],
  ['2223', '...O3', 'opens with what holds then'],
  ['222233', '...O2U3.', 'rises at once'],
  ['3333222', '...O3..U2', 'falls once the lower one held for `for`'],
  ['33332322', '...O3....', 'does not fall when the higher one comes in between'],
  ['3333212', '...O3..U2', 'falls to the highest that held meanwhile'],
  ['33332.222', '...O3....U2', 'begins anew to fall behind a second without any'],
])('%s gives %s: it %s', (severities, expected) => {
  expect(steps(severities)).toBe(expected);
});

test.each([
  ['2222.', 4, '...O2R', 'resolves as soon as it does not hold'],
  ['22222222', 4, '...O2...R', 'resolves at the latest `keep_firing_for` after its end'],
  ['222.', 1, '...D', 'is dropped while it is pending'],
])('an entity that is gone: %s from second %i gives %s: it %s', (severities, goneS, expected) => {
  expect(steps(severities, { goneS })).toBe(expected);
});

test.each([
  ['2222llllll...', '...O2........R', 'stays while sources are late, and `keep_firing_for` behind'],
  ['2222..ll22...', '...O2........R', 'goes on when it holds behind'],
  [`2222${'l'.repeat(61)}`, `...O2${'.'.repeat(60)}L`, 'ends when nothing can be said for a minute'],
  ['2222ooo', '...O2..L', 'ends when nobody looks and `keep_firing_for` passed since it held last'],
  ['2222oo2ooo', '...O2.....L', 'goes on when it holds though nobody looks at some of it'],
  ['22o', '..D', 'is dropped while it is pending'],
])('a finding that cannot be seen: %s gives %s: it %s', (severities, expected) => {
  expect(steps(severities)).toBe(expected);
});

test('a finding stays until its sources were read twice', () => {
  expect(steps('2222.....', { leastKeepS: 5 })).toBe('...O2....R');
});

test('without any waiting it opens and resolves in the first seconds', () => {
  expect(steps('2.', { forS: 0, settleS: 0, keepFiringForS: 0 })).toBe('O2R');
});
