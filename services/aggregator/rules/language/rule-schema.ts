import { z } from 'zod';
import { parseDurationMs } from '../../../../core/quantity.ts';
import type { Aggregation } from '../rule.ts';
import { aggregationMeanings } from './aggregations.ts';

/** What a rule file may hold at most. */
export const ruleLimits = {
  fileBytes: 256 * 1024,
  rules: 1000,
  signals: 32,
  params: 32,
  evidence: 16,
  causedBy: 32,
  tests: 200,
  windowS: 900,
} as const;

/** A whole number of seconds, written with its unit. */
function seconds(range: { readonly least: number; readonly most: number }) {
  const expected = `expected whole seconds such as ${Math.max(range.least, 10)}s, from ${range.least}s to ${range.most}s`;
  return z.string({ error: expected }).transform((text, context) => {
    const ms = text === '0' ? 0 : parseDurationMs(text);
    if (ms !== undefined && ms % 1000 === 0 && ms >= range.least * 1000 && ms <= range.most * 1000) return ms / 1000;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

const text = (most: number) =>
  z.string({ error: 'expected a text' }).min(1, 'expected a text that is not empty').max(most, `expected at most ${most} characters`);
const expression = z.string({ error: 'expected a CEL expression' });
/** Names become identifiers of expressions and keys of documents. */
export const namePattern = /^[a-z][a-z0-9_]{0,47}$/;
const idPattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const id = z
  .string({ error: 'expected the id of a rule' })
  .max(63, 'expected at most 63 characters')
  .regex(idPattern, 'expected an id such as accept-queue-saturation');

const byText = 'expected what is grouped by: a name, or a list of up to three';
const signal = z.strictObject({
  counter: z.string({ error: 'expected the name of a counter such as netstat.TcpExt.ListenOverflows' }).optional(),
  record: z.string({ error: 'expected the name of a probe' }).optional(),
  event: z.string({ error: 'expected the name of a probe' }).optional(),
  field: expression.optional(),
  where: expression.optional(),
  agg: z.enum(Object.keys(aggregationMeanings) as [Aggregation, ...Aggregation[]]).optional(),
  per: z.string({ error: 'expected the name of a counter' }).optional(),
  by: z.union([z.string(), z.array(z.string()).min(1, byText).max(3, byText)], { error: byText }).optional(),
  scope: z.enum(['entity', 'node']).default('entity'),
  window: seconds({ least: 1, most: ruleLimits.windowS }),
  min_volume: z.number({ error: 'expected a number' }).min(0, 'expected a number of at least 0').default(0),
  absent: z.enum(['false', 'zero', 'hold', 'fires']).default('false'),
  unit: z
    .string({ error: 'expected a unit such as per_second' })
    .regex(namePattern, 'expected a unit such as per_second, in lower case with underscores')
    .optional(),
});

const threshold = z.number({ error: 'expected a number' });
const param = z.union(
  [
    threshold.transform((value) => ({ default: value, unit: undefined, source: undefined })),
    z.strictObject({ default: threshold, unit: text(48).optional(), source: text(500).optional() }),
  ],
  { error: 'expected a number, or {default, unit, source}' },
);

const maxActiveText = 'expected a whole number from 1 to 100000';
const weightText = 'expected a number from -1 to 1';
const weight = z.number({ error: weightText }).min(-1, weightText).max(1, weightText);

const sentences = z.array(text(1000), { error: 'expected a list of sentences' }).default([]);

/** A rule as its file says it; the names of signals and params are checked later, where their places are known. */
export const ruleSchema = z.strictObject({
  id,
  title: text(160),
  why: text(2000),
  blind_spots: sentences,
  false_positives: sentences,
  entity: z.enum(['pod', 'node', 'pipeline']),
  params: z.record(z.string(), param, { error: 'expected a mapping of names to numbers' }).default({}),
  signals: z.record(z.string(), signal, { error: 'expected a mapping of names to signals' }),
  when: z.strictObject({ info: expression.optional(), warning: expression.optional(), critical: expression.optional() }),
  resolve: expression.optional(),
  for: seconds({ least: 0, most: 3600 }).default(0),
  keep_firing_for: seconds({ least: 0, most: 3600 }).default(30),
  settle: seconds({ least: 0, most: 60 }).default(2),
  caused_by: z
    .array(id, { error: 'expected a list of ids of rules' })
    .max(ruleLimits.causedBy, `expected at most ${ruleLimits.causedBy}`)
    .default([]),
  summary: text(512),
  evidence: z
    .array(z.strictObject({ when: expression, say: text(512), weight: weight.default(0) }), {
      error: 'expected a list of {when, say, weight}',
    })
    .max(ruleLimits.evidence, `expected at most ${ruleLimits.evidence}`)
    .default([]),
  runbook: text(200),
  max_active: z.int({ error: maxActiveText }).min(1, maxActiveText).max(100_000, maxActiveText).default(1000),
  tests: z
    .array(z.unknown(), { error: 'expected a list of tests' })
    .max(ruleLimits.tests, `expected at most ${ruleLimits.tests}`)
    .default([]),
});

export type RuleDocument = z.output<typeof ruleSchema>;
export type SignalDocument = RuleDocument['signals'][string];

/** What a signal is grouped by, one name or several. */
export function namesOfBy(by: SignalDocument['by']): readonly string[] {
  return by === undefined ? [] : typeof by === 'string' ? [by] : by;
}

/** Keys and values of rule files of later versions, and what to say of them. */
export const later: Readonly<Record<string, string>> = {
  k8s: 'signals from the Kubernetes API come later; use counter, record or event',
  baseline: 'baselines come later; compare with a param, or use agg: slope',
  sequence: 'sequences come later; use two signals and caused_by',
  group: 'groups come later; a node rule sees what its Pods share',
  workload: 'entities that live on several nodes come later; use pod',
  edge: 'entities that live on several nodes come later; use pod, and by: peer',
  peer: 'signals of the far end come later; use by: peer',
};
