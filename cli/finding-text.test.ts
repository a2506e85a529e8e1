import { expect, test } from 'vitest';
import { eventText } from './event-text.ts';
import { isFinding } from './finding-text.ts';

const colours = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
const shown = (document: object): string => eventText(JSON.stringify(document)).replace(colours, '');

const opened = {
  '@timestamp': '2026-11-22T04:32:20.000000000Z',
  message: 'shop/web-0: accept queue of port 8080 is full',
  log: { level: 'critical' },
  event: { kind: 'alert', action: 'anomaly-opened', start: '2026-11-22T04:32:14.000000000Z' },
  rule: { id: 'accept-queue-saturation' },
  jitterscope: {
    evidence: [{ text: 'its CPU is throttled 31 % of the time', weight: 0.2 }],
    confidence: 0.9,
    anomaly: { id: '41d8c07e93ab5f26', transition: 1, caused_by: ['cpu-throttled-network'] },
  },
};

test('a finding is one line: severity, sentence, evidence, cause, confidence', () => {
  expect(shown(opened)).toBe(
    '04:32:20.000 >> CRITICAL  shop/web-0: accept queue of port 8080 is full; its CPU is throttled 31 % of the time; ' +
      'caused by cpu-throttled-network; confidence 0.90 [accept-queue-saturation 41d8c07e93ab5f26]',
  );
  expect(shown({ ...opened, event: { ...opened.event, action: 'anomaly-updated' } })).toContain('>> CRITICAL (updated)  shop/web-0');
});

test.each([
  ['CONDITION_ENDED', ''],
  ['NO_DATA', ' (NO_DATA)'],
])('one that ended with %s says so', (reason, text) => {
  const resolved = {
    ...opened,
    message: 'shop/web-0: over after 6 s: Full',
    event: { ...opened.event, action: 'anomaly-resolved', reason },
  };
  expect(shown(resolved)).toContain(`>> RESOLVED  shop/web-0: over after 6 s: Full${text} [`);
});

test('no text of a finding steers the terminal, and no text of an event makes it one', () => {
  const hostile = 'x\u001b[2J\u009b\u202e';
  const text = shown({
    ...opened,
    message: hostile,
    rule: { id: hostile },
    jitterscope: { evidence: [{ text: hostile }], anomaly: { id: hostile, caused_by: [hostile] } },
  });
  expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(isFinding(JSON.stringify(opened))).toBe(true);
  expect(isFinding(JSON.stringify({ message: '"event":{"kind":"alert"', event: { kind: 'event' } }))).toBe(false);
});
