import { z } from 'zod';
import { parseDurationMs } from '../../../../core/quantity.ts';

/** What one embedded test may hold at most. */
export const testLimits = { rows: 100, pods: 50, seconds: 3600, records: 100_000 } as const;

const second = z.number({ error: 'expected a second of the test, from 0' }).int('expected whole seconds').min(0).max(testLimits.seconds);
const rate = z.number({ error: 'expected a number' }).min(0, 'expected a number of at least 0');
const podName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/;
const pod = z.string({ error: 'expected a Pod such as shop/web-0' }).regex(podName, 'expected a Pod such as shop/web-0');
const nodeName = z.string({ error: 'expected the name of a node' }).min(1).max(253);

const durationMs = z.string({ error: 'expected a duration such as 200ms' }).transform((text, context) => {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: 'custom', message: 'expected a duration such as 200ms' });
  return z.NEVER;
});

/** Whose something is; none of them: the Pod shop/web-0, or node1 where the rule is of nodes. */
const target = {
  pod: pod.optional(),
  /** A namespace that is no Pod's, by its name. */
  netns: z.string({ error: 'expected the name of a network namespace' }).min(1).max(63).optional(),
  node: nodeName.optional(),
};

/** A counter that rises, a gauge that holds a value, or observations of a histogram. */
export const counterRow = z.strictObject({
  counter: z.string({ error: 'expected the name of a counter' }),
  ...target,
  container: z.string().optional(),
  labels: z.record(z.string(), z.coerce.string()).default({}),
  from: second.default(0),
  to: second.optional(),
  at: second.optional(),
  per_second: rate.optional(),
  add: rate.optional(),
  value: z.number({ error: 'expected a number' }).optional(),
});

/** Records of a probe; further fields are numbers and texts of its records, by their names. */
export const recordRow = z.looseObject({
  record: z.string({ error: 'expected the name of a probe' }),
  ...target,
  action: z.string().optional(),
  variant: z.string().optional(),
  peer: z.string().optional(),
  side: z.enum(['in', 'out', 'forwarded']).default('in'),
  from: second.optional(),
  to: second.optional(),
  at: second.optional(),
  every: durationMs.default(1000),
  count: z.int({ error: 'expected a whole number' }).min(1).max(10_000).default(1),
  late: durationMs.optional(),
});

/** A node from which nothing comes. */
export const silentRow = z.strictObject({ silent: nodeName, from: second, to: second.optional() });

const podRow = z.strictObject({
  node: nodeName.optional(),
  from: second.optional(),
  to: second.optional(),
  annotations: z.record(z.string(), z.coerce.string()).default({}),
});

const within = z.union([second.transform((at) => [at, at] as const), z.tuple([second, second]).readonly()], {
  error: 'expected a second, or the first and the last second: [12, 16]',
});
const texts = z.array(z.string(), { error: 'expected a list of texts' });

const expectation = z.strictObject({
  at: within,
  action: z.enum(['opened', 'updated', 'resolved']),
  severity: z.enum(['info', 'warning', 'critical']).optional(),
  ...target,
  reason: z.enum(['CONDITION_ENDED', 'NO_DATA', 'ENTITY_GONE', 'RULE_CHANGED']).optional(),
  message: z.string({ error: 'expected a text, or /a pattern/' }).optional(),
  values: z.record(z.string(), z.number({ error: 'expected a number' })).optional(),
  by: z.record(z.string(), z.coerce.string()).optional(),
  evidence: texts.optional(),
  confidence: z.number({ error: 'expected a number' }).optional(),
  caused_by: texts.optional(),
  peers: texts.optional(),
});

/** One embedded test; rows of the input are read by what they begin with. */
export const testSchema = z.strictObject({
  name: z.string({ error: 'expected a text' }).min(1, 'expected a text that is not empty').max(160),
  pods: z.record(pod, podRow, { error: 'expected a mapping of Pods such as shop/web-0' }).default({}),
  params: z.record(z.string(), z.number({ error: 'expected a number' })).default({}),
  input: z.array(z.looseObject({}), { error: 'expected a list of {counter, …}, {record, …}, {silent, …}' }).max(testLimits.rows),
  until: second.optional(),
  repeat: z.boolean({ error: 'expected true or false' }).default(false),
  expect: z.array(expectation, { error: 'expected a list of transitions; [] for none' }),
});

export type TestDocument = z.output<typeof testSchema>;
export type CounterRow = z.output<typeof counterRow>;
export type RecordRow = z.output<typeof recordRow>;
export type SilentRow = z.output<typeof silentRow>;
export type Expectation = z.output<typeof expectation>;
