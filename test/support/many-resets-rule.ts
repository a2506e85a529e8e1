import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Fires while somebody sends resets, and is resolved 10 s after the window is empty again. */
const rule = `
id: many-resets
title: Somebody resets many connections
why: It is what this test does.
entity: pod
signals:
  resets: { record: tcpreset, agg: rate, window: 10s, unit: per_second }
  whom: { record: tcpreset, agg: count, by: peer, window: 5s, unit: resets }
when: { warning: resets > 5, critical: resets > 10000 }
for: 4s
keep_firing_for: 10s
summary: '{pod} resets {resets}/s, most of them with {whom.by}'
evidence: [{ when: whom > 10, say: 'it is {whom.by} in {whom:integer} of them', weight: 0.1 }]
runbook: docs/runbooks/many-resets.md
`;

/** Makes a folder with the rule many-resets; returns the options of a command that runs it, too. */
export function manyResetsRule(folder: string): string[] {
  const rules = join(folder, 'rules');
  mkdirSync(rules, { recursive: true });
  writeFileSync(join(rules, 'many-resets.yaml'), rule);
  return ['--set', `rules.directory=${rules}`];
}
