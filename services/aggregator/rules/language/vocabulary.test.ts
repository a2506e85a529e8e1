import { expect, test } from 'vitest';
import { probes } from '../../../../bpf/registry.ts';
import { aggregationMeanings, aggregationsOf } from './aggregations.ts';
import { compileCondition } from './condition.ts';
import { allCounters, findCounter } from './counter-names.ts';
import { expressionFunctions, expressionOperators } from './expression-functions.ts';
import { formatMeanings, formatNames } from './number-format.ts';
import { recordNamesOf } from './record-names.ts';
import { readRuleFile } from './rule-file.ts';
import { compileTemplate } from './template.ts';

// What the reference lists is what is taken: docs/reference/signals.md is made of these lists.

test('every counter of the reference is found by its name, and no two are the same', () => {
  const all = [...allCounters()];
  expect(all.length).toBeGreaterThan(400);
  for (const { name, ...counter } of all) expect([name, findCounter(name)]).toEqual([name, counter]);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(new Set(all.map(({ reference }) => `${reference.source} ${reference.field}`)).size).toBe(all.length);
});

test('every counter of a probe has a name, and so has each of its labels', () => {
  for (const { name, metrics } of probes) {
    const own = [...allCounters()].filter(({ reference }) => reference.source === name);
    expect(own.map(({ reference }) => Number(reference.field)).sort()).toEqual(metrics.map(({ number }) => number).sort());
  }
  expect(findCounter('packetloss.drops')).toMatchObject({ labels: ['reason', 'site'] });
  expect(findCounter('tcpaccept.wait')).toMatchObject({ reference: { kind: 'histogram' }, unit: 'us' });
  expect(findCounter('cgroup.cpu.throttled_usec')).toMatchObject({ unit: 'us', labels: ['container'] });
});

/** One use of each operator of the reference. */
const uses: Readonly<Record<string, string>> = {
  '`+ - * /`, `-x`': '-(x + 1 - 2 * 3 / 4) > 0',
  '`< <= > >=`': 'x < 1 || x <= 1 || x > 1 || x >= 1',
  '`==`': 'x == 1',
  '`!=`': '(x > 1) != (x > 2)',
  '`&& || !`': '!(x > 1) && x > 0 || x < 0',
  '`c ? a : b`': '(x > 1 ? x : 2) > 0',
  '`x in [a, b]`': 'x in [1, 2]',
};

test.each(expressionOperators)('%s is taken', (operator) => {
  expect(uses).toHaveProperty([operator]);
  expect(compileCondition(uses[operator], ['x'], []).used.has('x')).toBe(true);
});

test.each(expressionFunctions.filter(({ name }) => name !== undefined))('$signature is taken', ({ name, signature }) => {
  const operands = signature.startsWith(`${name}(double, double)`) ? 'x, 1' : 'x';
  const compared = signature.endsWith('bool') ? '' : ' > 0';
  expect(compileCondition(`${name}(${operands})${compared}`, ['x'], []).condition(Float64Array.of(5))).toBe(true);
});

test.each(Object.keys(formatMeanings))('the format %s is taken', (format) => {
  expect(formatNames).toContain(format);
  expect(compileTemplate(`{x:${format}}`, { signals: ['x'], grouped: new Map(), params: [] }).used.has('x')).toBe(true);
});

/** A signal of each kind that aggregates. */
const kinds: Readonly<Record<keyof typeof aggregationsOf, string>> = {
  counter: 'counter: snmp.Tcp.OutRsts',
  gauge: 'counter: sockstat.TCP.inuse',
  histogram: 'counter: tcpaccept.wait',
  records: 'record: tcpreset',
  values: 'record: tcplife, field: connect_us',
};

test.each(Object.entries(kinds).flatMap(([kind, signal]) => Object.keys(aggregationMeanings).map((agg) => ({ kind, signal, agg }))))(
  'agg: $agg of $signal is as the reference says',
  ({ kind, signal, agg }) => {
    const content = `id: a\ntitle: t\nwhy: w\nentity: pod\nsignals: { x: { ${signal}, agg: ${agg}, window: 10s } }\nwhen: { info: x > 1 }\nsummary: s\nrunbook: r\n`;
    const { rule } = readRuleFile('a.yaml', content, { sampleIntervalS: 2 });
    const taken = aggregationsOf[kind as keyof typeof aggregationsOf].map(String).includes(agg);
    expect(rule?.signals[0].signal.aggregation).toBe(taken ? agg : undefined);
  },
);

test('names of records are names of expressions, each once', () => {
  for (const probe of probes) {
    const { numbers, texts } = recordNamesOf(probe);
    const names = [...numbers, ...texts].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !/^[a-z][a-z0-9_]*$/.test(name) || name === 'peer')).toEqual([]);
  }
});
