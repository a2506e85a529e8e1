import { expect, test } from 'vitest';
import type { ExplainAnswer } from './explain.ts';
import { explanationText } from './explanation-text.ts';

const colours = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
const shown = (answer: ExplainAnswer): string => explanationText(answer).replace(colours, '');

const signal = { unit: null, aggregation: 'rate', windowSeconds: 10, volume: 12, minVolume: 0, absent: null, note: null, groups: [] };

const firing: ExplainAnswer = {
  partition: 0,
  explanation: {
    rule: { id: 'accept-queue-saturation', title: 'The accept queue is full', version: 'sha256:5be0', runbook: 'docs/runbooks/a.md' },
    entity: 'shop/web-0',
    node: 'node1',
    at: '2026-11-22T04:32:20Z',
    state: 'firing',
    start: '2026-11-22T04:32:14Z',
    held: '2026-11-22T04:32:20Z',
    severity: 'critical',
    anomaly: '41d8c07e93ab5f26',
    causedBy: ['cpu-throttled-network'],
    signals: [
      { ...signal, name: 'overflows', value: 7.4000000001, unit: 'per_second' },
      { ...signal, name: 'fill', value: 1, aggregation: 'max', groups: [{ label: '8080', value: 1 }] },
      { ...signal, name: 'throttled', value: null, absent: 'NO_DATA' },
      { ...signal, name: 'retransmits', value: null, absent: 'BELOW_MIN_VOLUME', volume: 3, minVolume: 1000 },
    ],
    params: [{ name: 'fill', value: 0.8, from: 'annotation' }],
    when: [{ severity: 'critical', expression: 'overflows > 5', holds: true }],
    resolve: { expression: 'overflows == 0', holds: false },
    evidence: [{ text: 'its CPU is throttled', weight: 0.2, holds: false }],
  },
};

test('an explanation tells each signal, param and condition, and the state', () => {
  expect(shown(firing).split('\n')).toEqual([
    'accept-queue-saturation: The accept queue is full',
    '  entity         shop/web-0 on node1',
    '  state          firing critical 41d8c07e93ab5f26 since 2026-11-22T04:32:14Z',
    '  as of          2026-11-22T04:32:20Z',
    '  last held      2026-11-22T04:32:20Z',
    '  caused by      cpu-throttled-network',
    'signals',
    '  overflows      7.4 per_second rate over 10 s',
    '  fill           1 max over 10 s',
    '                 8080: 1',
    '  throttled      none (no data in the window) rate over 10 s',
    '  retransmits    none (too little of it: 3, expected at least 1000) rate over 10 s',
    'params',
    '  fill           0.8 (annotation)',
    'conditions',
    '  critical       true  overflows > 5',
    '  resolve        false overflows == 0',
    'evidence',
    '  +0.2           false its CPU is throttled',
    '  docs/runbooks/a.md sha256:5be0',
  ]);
});

test('one of the past says how far back it reaches', () => {
  expect(shown({ ...firing, from: '2026-11-22T03:00:00.000Z', to: '2026-11-22T04:32:21.000Z' })).toContain(
    'made from the raw log of 2026-11-22T03:00:00.000Z to 2026-11-22T04:32:21.000Z',
  );
});

test('no name in it steers the terminal', () => {
  const entity = 'x\u001b[2J\u009b';
  expect(shown({ ...firing, explanation: { ...firing.explanation, entity } })).not.toMatch(/(?!\n)\p{Cc}/u);
});
