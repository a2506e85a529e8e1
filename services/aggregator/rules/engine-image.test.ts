import { expect, test } from 'vitest';
import { atOnce } from '../../../core/pieces.ts';
import { netnsOf, v4 } from '../test-stream.ts';
import type { Rule, Signal } from './rule.ts';
import { ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

const firstNet = 10_000;

function records(name: string, windowS: number, more: Partial<Signal>): Rule['signals'][number] {
  const input = { kind: 'record', probe: 1, eventsOnly: false, value: undefined, where: undefined, by: undefined } as const;
  const signal: Signal = { key: name, input, aggregation: 'count', windowS, minVolume: 0, absent: 'false', scope: 'entity', ...more };
  return { name, unit: undefined, signal };
}

const byPeer = {
  kind: 'record',
  probe: 1,
  eventsOnly: false,
  value: undefined,
  where: undefined,
  by: [{ name: 'peer', of: 'peer' }],
} as const;
const byPort = { ...byPeer, value: ({ sport }: { sport: number }) => sport, by: undefined } as const;
const kinds: readonly Partial<Signal>[] = [
  {},
  { input: byPeer },
  { input: byPort, aggregation: 'max' },
  { input: byPort, aggregation: 'p95' },
  { input: byPort, aggregation: 'distinct' },
];
const rules = ruleSet(
  ...Array.from({ length: 10 }, (_, rule) =>
    testRule({
      id: `rule-${rule}`,
      signals: kinds.map((kind, index) => records(`${rule}-${index}`, 10 + rule, kind)),
      when: [{ severity: 1, condition: (slots) => slots[0] > 2 + rule }],
      settleS: 0,
      maxActive: 400,
      summary: { source: '', render: ({ by, signal }) => `${by(1)} ${signal(0)} ${signal(2)} ${signal(3)} ${signal(4)}` },
    }),
  ),
);

/** A node with so many namespaces, each of which is heard of again and again. */
function busy(namespaces: number): TestEngine {
  const engine = new TestEngine(rules);
  engine.state.identity.learn({ netns: Array.from({ length: namespaces }, (_, at) => netnsOf(firstNet + at)) }, 0);
  return goOn(engine, namespaces, 0, 4);
}

function goOn(engine: TestEngine, namespaces: number, from: number, rounds: number): TestEngine {
  const count = rounds * namespaces;
  for (let index = from * namespaces; index < from * namespaces + count; index++) {
    const at = 100 + index / namespaces;
    engine.record(at, { net: firstNet + (index % namespaces), sport: index % 13, daddr: v4(10, 0, 0, index % 7) });
  }
  return engine;
}

test('no block of a checkpoint grows with the node', () => {
  const [small, large] = [100, 1000].map((namespaces) => [...busy(namespaces).engine.snapshot()]);
  const longest = (blocks: readonly Uint8Array[]): number => Math.max(...blocks.map(({ length }) => length));
  expect(longest(large)).toBeLessThan(longest(small) * 1.3);
  expect(large.length).toBeGreaterThan(20);
});

test('what was cut into many blocks goes on as if it had never been', () => {
  const namespaces = 200;
  const run = (restarts: boolean): unknown[] => {
    const engine = busy(namespaces);
    for (let round = 4; round < 12; round++) {
      if (restarts && round % 3 === 0) engine.restart();
      if (restarts && round === 8) atOnce(engine.engine.replace(rules));
      goOn(engine, namespaces, round, 1);
    }
    engine.until(200);
    return engine.transitions.map(({ rule, ...rest }) => ({ ...rest, rule: rule.id }));
  };
  const told = run(false);
  expect(told.length).toBeGreaterThan(400);
  expect(run(true)).toEqual(told);
});

test('other rules take over in pieces, and until then those that ran are there', () => {
  const engine = busy(400);
  engine.until(110);
  const { engine: rulesOf } = engine;
  const open = [...rulesOf.open()].length;
  expect(open).toBeGreaterThan(400);
  const work = rulesOf.replace(ruleSet(...rules.rules.slice(1)));
  let pieces = 0;
  while (work.next().done !== true) {
    expect([...rulesOf.open()]).toHaveLength(open);
    pieces++;
  }
  expect(pieces).toBeGreaterThan(10);
  const isGone = ({ rule }: { rule: Rule }): boolean => rule.id === 'rule-0';
  expect([...rulesOf.open()].some(isGone)).toBe(false);
  expect(engine.transitions.filter(({ reason }) => reason === 'RULE_CHANGED').every(isGone)).toBe(true);
});
