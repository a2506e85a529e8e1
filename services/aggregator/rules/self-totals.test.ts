import { expect, test } from 'vitest';
import type { RuleDomain } from './rule-domain.ts';
import { SelfTargets } from './self-targets.ts';

/** Without rules that ask: what is remembered is looked at. */
function targets(): SelfTargets {
  return new SelfTargets({ evaluatedS: 0, plan: { windows: { sources: new Map() } } } as unknown as RuleDomain);
}

const remembered = (from: SelfTargets): number | undefined => from.image()[0]?.value;

test('a total that one of several gateways knows later is no new one, and one that begins anew is believed after ten ticks', () => {
  const self = targets();
  const told = (...values: readonly number[]): void => {
    for (const value of values) self.told('pipeline', 'dead_letters', { stage: 'loki' }, value);
  };
  told(57, 55, 57, 55, 58, 55, 58);
  expect(remembered(self)).toBe(58);
  told(...Array<number>(9).fill(0));
  expect(remembered(self)).toBe(58);
  const restored = targets();
  restored.restore(self.image(), false);
  restored.told('pipeline', 'dead_letters', { stage: 'loki' }, 0);
  expect(remembered(restored)).toBe(0);
});

test('a gauge is what was told last', () => {
  const self = targets();
  for (const value of [0.9, 0.1]) self.told('pipeline', 'queue_fill_ratio', { queue: 'raw' }, value);
  expect(remembered(self)).toBe(0.1);
});

test('a queue that ticks tell no more is forgotten after a minute of them, also over restarts; a total never is', () => {
  const tick = (self: SelfTargets, queue: string): void => {
    self.told('pipeline', 'queue_fill_ratio', { queue }, 0.5);
    self.tick();
  };
  const namesOf = (self: SelfTargets): unknown[] => self.image().map(({ labels }) => labels.queue ?? labels.stage);
  for (const restartsEach of [Number.POSITIVE_INFINITY, 1, 7]) {
    let self = targets();
    self.told('pipeline', 'dead_letters', { stage: 'loki' }, 57);
    for (let pod = 0; pod < 500; pod++) {
      tick(self, `gateway/pod-${pod}:7443`);
      if (pod % restartsEach !== 0) continue;
      const restored = targets();
      restored.restore(self.image(), false);
      self = restored;
    }
    expect(namesOf(self)).toEqual(['loki', ...Array.from({ length: 60 }, (_, n) => `gateway/pod-${440 + n}:7443`)]);
    for (let n = 0; n < 59; n++) tick(self, 'gateway');
    expect(namesOf(self)).toEqual(['loki', 'gateway/pod-499:7443', 'gateway']);
    for (let n = 0; n < 1000; n++) self.tick();
    expect(namesOf(self)).toContain('gateway/pod-499:7443');
  }
});
