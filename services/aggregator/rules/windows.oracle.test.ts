import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Aggregation, RecordGroup, Signal } from './rule.ts';
import { bootS, ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

/** A record of a test: `second` of its event time, counted from the boot, in the order of arrival. */
interface Told {
  readonly second: number;
  readonly pod: number;
  readonly value: number;
  readonly port: number;
}

const byPort: readonly RecordGroup[] = [{ name: 'port', of: (record) => record.sport }];
/** 12 groups at most: none has to go. */
const bySeveral: readonly RecordGroup[] = [
  { name: 'quarter', of: (record) => record.sport % 4 },
  { name: 'third', of: (record) => `third ${record.code % 3}` },
];
const groupOf = ({ port, value }: Told, by: readonly unknown[]): string => (by.length === 1 ? `${port}` : `${port % 4} ${value % 3}`);

function signal(
  aggregation: Aggregation,
  windowS: number,
  more: Partial<Signal> & { by?: readonly RecordGroup[]; counted?: boolean } = {},
): Signal {
  const { by, counted, ...rest } = more;
  const value = counted ? undefined : (record: { code: number }) => (record.code === 99 ? Number.NaN : record.code / 4);
  return {
    key: JSON.stringify([aggregation, windowS, more]),
    input: { kind: 'record', probe: 1, eventsOnly: false, value, where: undefined, by },
    aggregation,
    windowS,
    minVolume: 0,
    absent: 'false',
    scope: 'entity',
    ...rest,
  };
}

const signals: readonly Signal[] = [
  signal('count', 3, { counted: true }),
  signal('count', 10, { counted: true }),
  signal('rate', 30),
  signal('sum', 10),
  signal('max', 3),
  signal('max', 30),
  signal('min', 10),
  signal('last', 10),
  signal('distinct', 10),
  signal('p50', 10),
  signal('p95', 30),
  signal('slope', 10),
  signal('sum', 10, { minVolume: 5 }),
  signal('max', 10, { minVolume: 3, absent: 'zero' }),
  signal('max', 3, { absent: 'hold' }),
  signal('count', 10, { counted: true, by: byPort }),
  signal('min', 10, { by: byPort }),
  signal('p95', 10, { by: byPort, minVolume: 2 }),
  signal('count', 10, { counted: true, by: bySeveral }),
  signal('max', 30, { by: bySeveral }),
];

const rules = ruleSet(
  testRule({
    signals: signals.map((one, index) => ({ name: `s${index}`, unit: undefined, signal: one })),
    when: [{ severity: 1, condition: () => false }],
  }),
);

/** What a signal is, from all records that came so far. */
function naive(
  { input, aggregation, windowS, minVolume }: Signal,
  told: readonly Told[],
  second: number,
  before: number,
  absent: Signal['absent'],
): number {
  if (input.kind !== 'record') throw new Error('records only');
  const counted = input.value === undefined;
  const inWindow = told.filter((one) => one.second > second - windowS && one.second <= second && (counted || one.value !== 99));
  const { by } = input;
  const groups =
    by === undefined
      ? [inWindow]
      : [...new Set(inWindow.map((one) => groupOf(one, by)))].map((group) => inWindow.filter((one) => groupOf(one, by) === group));
  const isSum = ['count', 'rate', 'sum', 'distinct'].includes(aggregation);
  const values = groups.filter((group) => group.length >= minVolume).map((group) => ofGroup(aggregation, windowS, group));
  const kept = values.filter((value) => !Number.isNaN(value));
  const worst = kept.length === 0 ? Number.NaN : aggregation === 'min' ? Math.min(...kept) : Math.max(...kept);
  const value = Number.isNaN(worst) && isSum && minVolume === 0 ? 0 : worst;
  if (!Number.isNaN(value)) return value;
  return absent === 'zero' ? 0 : absent === 'hold' ? before : Number.NaN;
}

function ofGroup(aggregation: Aggregation, windowS: number, group: readonly Told[]): number {
  const values = group.map(({ value }) => value / 4);
  const sum = values.reduce((total, value) => total + value, 0);
  if (aggregation === 'count') return group.length;
  if (aggregation === 'sum') return sum;
  if (aggregation === 'rate') return sum / windowS;
  if (aggregation === 'distinct') return new Set(values).size;
  if (group.length === 0) return Number.NaN;
  if (aggregation === 'max') return Math.max(...values);
  if (aggregation === 'min') return Math.min(...values);
  if (aggregation === 'last') {
    const newest = Math.max(...group.map(({ second }) => second));
    return (group.filter(({ second }) => second === newest).at(-1) as Told).value / 4;
  }
  if (aggregation === 'slope') {
    const mean = group.reduce((total, { second }) => total + second, 0) / group.length;
    const spread = group.reduce((total, { second }) => total + (second - mean) ** 2, 0);
    return spread === 0 ? Number.NaN : group.reduce((total, { second, value }) => total + ((second - mean) * value) / 4, 0) / spread;
  }
  const quantile = Number(aggregation.slice(1)) / 100;
  return values.sort((a, b) => a - b)[Math.max(0, Math.ceil(quantile * values.length) - 1)];
}

const isQuantile = ({ aggregation }: Signal): boolean => aggregation.startsWith('p');

/** Compares all signals of all Pods, as of the second that was evaluated last; nothing came since. */
function compare(engine: TestEngine, told: readonly Told[], comparedS: number): number {
  const domain = engine.engine.nodes.get('node1')?.own;
  if (domain === undefined || domain.evaluatedS === comparedS) return comparedS;
  const second = domain.evaluatedS - bootS;
  for (const entity of domain.entities.all) {
    if (entity === undefined || entity.info.kind !== 'pod') continue;
    const own = told.filter(({ pod }) => `web-${pod}` === entity.info.pod);
    for (const [index, one] of signals.entries()) {
      const value = domain.values.values[entity.index * domain.values.width + index];
      // Held values depend on each second in between: only those that have data are compared.
      const expected = naive(one, own, second, one.absent === 'hold' ? value : Number.NaN, one.absent);
      const what = `${one.key} of ${entity.info.pod} at ${second}`;
      if (Number.isNaN(expected)) expect(value, what).toBeNaN();
      else if (isQuantile(one) && expected > 0) expect(Math.abs(value / expected - 1), what).toBeLessThanOrEqual(0.1251);
      else expect(value, what).toBeCloseTo(expected, 6);
    }
  }
  return domain.evaluatedS;
}

const op = fc.record({
  stepMs: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 900 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1000, max: 80_000 }) },
  ),
  backMs: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 1500 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 40_000 }) },
  ),
  pod: fc.integer({ min: 0, max: 2 }),
  value: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 40 }) }, { weight: 1, arbitrary: fc.constant(99) }),
  port: fc.integer({ min: 80, max: 90 }),
  restart: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

test('windows over any records, late ones, gaps and checkpoints are what a naive reading of all records says', () => {
  fc.assert(
    fc.property(fc.array(op, { minLength: 1, maxLength: 150 }), (ops) => {
      const engine = new TestEngine(rules);
      const told: Told[] = [];
      let comparedS = 0;
      let now = 1000;
      for (const { stepMs, backMs, pod, value, port, restart } of ops) {
        now += stepMs / 1000;
        engine.until(now);
        comparedS = compare(engine, told, comparedS);
        if (restart) engine.restart();
        const at = now - backMs / 1000;
        engine.record(at, { net: 4100 + pod, code: value, sport: port });
        told.push({ second: Math.floor(Math.round(at * 1e9) / 1e9), pod, value, port });
      }
    }),
    { numRuns: 60 },
  );
});
