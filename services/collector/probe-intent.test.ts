import fc from 'fast-check';
import { expect, test } from 'vitest';
import { afterOrder, type ProbeIntent, type ProbeOrder } from './probe-intent.ts';

const [a, b] = ['shop/web-0', 'demo-web'];
const on = (target?: string): ProbeOrder => ({ enable: true, ...(target === undefined ? {} : { target }) });
const off = (target?: string): ProbeOrder => ({ ...on(target), enable: false });

test.each<[string, ProbeIntent, ProbeOrder[], ProbeIntent]>([
  ['on', { mode: 'off' }, [on()], { mode: 'all' }],
  ['off', { mode: 'all' }, [off()], { mode: 'off' }],
  ['on for one only', { mode: 'all' }, [on(a)], { mode: 'listed', targets: [a] }],
  ['on for one that was off', { mode: 'off' }, [on(a)], { mode: 'listed', targets: [a] }],
  ['on for two', { mode: 'off' }, [on(a), on(b)], { mode: 'listed', targets: [a, b] }],
  ['on for one, twice', { mode: 'off' }, [on(a), on(a)], { mode: 'listed', targets: [a] }],
  ['one of two off', { mode: 'all' }, [on(a), on(b), off(a)], { mode: 'listed', targets: [b] }],
  ['the last off', { mode: 'all' }, [on(a), off(a)], { mode: 'off' }],
  ['all but one', { mode: 'all' }, [off(a)], { mode: 'unlisted', targets: [a] }],
  ['all but two', { mode: 'all' }, [off(a), off(b)], { mode: 'unlisted', targets: [a, b] }],
  ['the only exception on', { mode: 'all' }, [off(a), on(a)], { mode: 'all' }],
  ['another one on for itself', { mode: 'all' }, [off(a), on(b)], { mode: 'listed', targets: [b] }],
  ['what is off stays off for one', { mode: 'off' }, [off(a)], { mode: 'off' }],
  ['on for all again', { mode: 'all' }, [on(a), on()], { mode: 'all' }],
])('%s', (_, intent, orders, expected) => {
  expect(orders.reduce(afterOrder, intent)).toEqual(expected);
});

/** Whether a target is looked at. */
function sees(intent: ProbeIntent, target: string): boolean {
  if (intent.mode === 'listed' || intent.mode === 'unlisted') return intent.targets.includes(target) === (intent.mode === 'listed');
  return intent.mode === 'all';
}

test('who was named last is looked at as was asked for, and no target is listed twice or nowhere', () => {
  const orders = fc.record({ enable: fc.boolean(), target: fc.option(fc.constantFrom(a, b, 'c'), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(orders, { minLength: 1 }), (given) => {
      const all = given.map(({ enable, target }) => (enable ? on(target) : off(target)));
      const intent = all.reduce(afterOrder, { mode: 'all' });
      const last = all[all.length - 1];
      for (const target of last.target === undefined ? [a, b, 'c'] : [last.target]) expect(sees(intent, target)).toBe(last.enable);
      if ('targets' in intent) {
        expect(intent.targets.length).toBeGreaterThan(0);
        expect(new Set(intent.targets).size).toBe(intent.targets.length);
      }
    }),
  );
});
