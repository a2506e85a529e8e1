import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventFields } from '../../../schema/event.ts';
import type { FindingEntity, Transition } from './finding.ts';
import { findingLine } from './finding-line.ts';
import { testRule } from './test-rule.ts';

const name = fc.string({ unit: 'binary', maxLength: 12 });
const filled = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
const rule = testRule({ id: 'accept-queue-saturation', runbook: 'docs/runbooks/accept-queue-saturation.md' });

const entity: fc.Arbitrary<FindingEntity> = fc.oneof(
  fc.record({
    kind: fc.constant('pod' as const),
    node: filled,
    namespace: filled,
    pod: filled,
    uid: fc.constantFrom('', 'u-1'),
    name: fc.constant(''),
    cookie: fc.constantFrom(0, 4101),
    inode: fc.constantFrom(0, 4_026_532_246),
  }),
  fc.record({
    kind: fc.constantFrom('netns' as const, 'node' as const, 'pipeline' as const),
    node: filled,
    namespace: fc.constant(''),
    pod: fc.constant(''),
    uid: fc.constant(''),
    name: filled,
    cookie: fc.constantFrom(0, 4101, 7),
    inode: fc.constantFrom(0, 7),
  }),
);

const transition: fc.Arbitrary<Transition> = fc.record({
  rule: fc.constant(rule),
  entity,
  anomalyId: fc.constant('41d8c07e93ab5f26'),
  number: fc.nat(9).map((n) => n + 1),
  action: fc.constantFrom('opened', 'updated', 'resolved'),
  severity: fc.constantFrom(1, 2, 3),
  startS: fc.nat(2e9),
  atS: fc.nat(2e9),
  reason: fc.constantFrom(undefined, 'NO_DATA' as const),
  message: name,
  values: fc.array(fc.tuple(fc.constantFrom('overflows_per_second', 'fill_ratio'), fc.double()), { maxLength: 3 }),
  by: fc.array(fc.tuple(fc.constantFrom('fill', 'site'), name), { maxLength: 2 }),
  evidence: fc.array(fc.record({ text: name, weight: fc.constantFrom(0.2, -0.1) }), { maxLength: 2 }),
  confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  causedBy: fc.array(fc.constantFrom('cpu-throttled-network'), { maxLength: 1 }),
  samples: fc.array(fc.constantFrom('9c1f0b7a52e4d386-1107'), { maxLength: 2 }),
  peers: fc.array(
    fc.record({
      label: name,
      address: fc.constantFrom('', '10.244.1.3'),
      namespace: filled,
      pod: fc.constantFrom('', 'client-0'),
      uid: fc.constantFrom('', 'u-2'),
      count: fc.nat(),
    }),
    { maxLength: 3 },
  ),
});

/** Dotted paths of all leaves in their order; keys of maps as `*`. */
function pathsOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return [...new Set(value.flatMap((item) => pathsOf(item, `${at}[]`)))];
  if (typeof value !== 'object' || value === null) return [at];
  const isMap = at === 'jitterscope.values' || at === 'jitterscope.by';
  const paths = Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, `${at === '' ? '' : `${at}.`}${isMap ? '*' : key}`));
  return [...new Set(paths)];
}

const declared = eventFields.map(({ path }) => path);

test('a finding is one line of JSON whose fields are declared in schema/event.ts; outside of lists in that order', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(transition, fc.boolean(), (of, isKubernetes) => {
      const line = findingLine(of, { cluster: 'default', isKubernetes });
      expect(line.endsWith('}\n')).toBe(true);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).not.toMatch(/:null[,}]|:\{\}|:\[\]/);
      const paths = pathsOf(JSON.parse(line));
      for (const path of paths) seen.add(path);
      expect(paths.filter((path) => !declared.includes(path))).toEqual([]);
      const ordered = paths.filter((path) => !path.includes('[].'));
      expect(ordered).toEqual(declared.filter((path) => ordered.includes(path)));
    }),
    { numRuns: 500 },
  );
  const ofFindings = eventFields.filter(({ findingsOnly }) => findingsOnly).map(({ path }) => path);
  expect(ofFindings.filter((path) => !seen.has(path))).toEqual([]);
});

const opened: Transition = {
  rule,
  entity: { kind: 'pod', node: 'node1', namespace: 'shop', pod: 'web-0', uid: '0b7f', name: '', cookie: 4101, inode: 4_026_532_246 },
  anomalyId: '41d8c07e93ab5f26',
  number: 1,
  action: 'opened',
  severity: 3,
  startS: 1_795_321_934,
  atS: 1_795_321_940,
  reason: undefined,
  message: 'shop/web-0: accept queue of port 8080 is full',
  values: [
    ['overflows_per_second', 7.4 + 1e-15],
    ['fill_ratio', 1],
    ['throttled_ratio', Number.NaN],
  ],
  by: [['fill', '8080']],
  evidence: [{ text: 'its CPU is throttled 31 % of the time', weight: 0.2 }],
  confidence: 0.7 + 0.2,
  causedBy: [],
  samples: ['9c1f0b7a52e4d386-1107'],
  peers: [{ label: 'shop/client-0', address: '10.244.1.3', namespace: 'shop', pod: 'client-0', uid: '7a1f', count: 12 }],
};

test('what is not known is left out, and numbers are those that people would write', () => {
  expect(JSON.parse(findingLine(opened, { cluster: 'default', isKubernetes: true }))).toEqual({
    '@timestamp': '2026-11-22T04:32:20.000000000Z',
    message: 'shop/web-0: accept queue of port 8080 is full',
    log: { level: 'critical' },
    ecs: { version: '8.17.0' },
    event: {
      kind: 'alert',
      category: ['network'],
      type: ['error', 'start'],
      action: 'anomaly-opened',
      id: '41d8c07e93ab5f26-1',
      severity: 3,
      start: '2026-11-22T04:32:14.000000000Z',
    },
    rule: {
      id: 'accept-queue-saturation',
      name: rule.title,
      description: rule.why,
      reference: 'docs/runbooks/accept-queue-saturation.md',
      version: rule.version,
    },
    host: { name: 'node1' },
    orchestrator: { type: 'kubernetes', cluster: { name: 'default' } },
    kubernetes: { namespace: 'shop', pod: { name: 'web-0', uid: '0b7f' }, node: { name: 'node1' } },
    jitterscope: {
      schema: 1,
      type: 'accept-queue-saturation',
      values: { overflows_per_second: 7.4, fill_ratio: 1 },
      by: { fill: '8080' },
      evidence: [{ text: 'its CPU is throttled 31 % of the time', weight: 0.2 }],
      confidence: 0.9,
      anomaly: { id: '41d8c07e93ab5f26', transition: 1, samples: ['9c1f0b7a52e4d386-1107'] },
      peers: [
        { name: 'shop/client-0', ip: '10.244.1.3', count: 12, kubernetes: { namespace: 'shop', pod: { name: 'client-0', uid: '7a1f' } } },
      ],
      netns: { cookie: 4101, inode: 4_026_532_246 },
    },
  });
});

test('one that ended says when and why', () => {
  const resolved: Transition = { ...opened, action: 'resolved', number: 3, atS: opened.atS + 60, reason: 'CONDITION_ENDED' };
  expect(JSON.parse(findingLine(resolved, { cluster: 'default', isKubernetes: true }))).toMatchObject({
    message: 'shop/web-0: over after 1 min 6 s: Resets were seen',
    event: {
      type: ['end'],
      action: 'anomaly-resolved',
      reason: 'CONDITION_ENDED',
      id: '41d8c07e93ab5f26-3',
      start: '2026-11-22T04:32:14.000000000Z',
      end: '2026-11-22T04:33:20.000000000Z',
    },
  });
});
