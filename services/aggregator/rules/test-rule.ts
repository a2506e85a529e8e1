import type { Rule, Signal } from './rule.ts';

/** A signal of records of one probe: how many there were in the window. */
function recordCount(probe: number, windowS: number): Signal {
  return {
    key: `record ${probe} count ${windowS}`,
    input: { kind: 'record', probe, eventsOnly: false, value: undefined, where: undefined, by: undefined },
    aggregation: 'count',
    windowS,
    minVolume: 0,
    absent: 'zero',
    scope: 'entity',
  };
}

/** A rule that fires from the first record of probe 1 on, unless told otherwise. */
export function testRule(more: Partial<Rule> = {}): Rule {
  return {
    id: 'some-resets',
    title: 'Resets were seen',
    why: 'Somebody refuses connections.',
    version: 'sha256:0123456789abcdef',
    entity: 'pod',
    clock: 'node',
    signals: [{ name: 'resets', unit: undefined, signal: recordCount(1, 10) }],
    params: [],
    when: [{ severity: 2, condition: (slots) => slots[0] > 0 }],
    resolve: undefined,
    forS: 0,
    keepFiringForS: 5,
    settleS: 2,
    causedBy: [],
    summary: { source: '{entity}: {resets} resets', render: ({ entity, signal }) => `${entity}: ${signal(0)} resets` },
    evidence: [],
    runbook: 'docs/runbooks/some-resets.md',
    maxActive: 100,
    ...more,
  };
}
