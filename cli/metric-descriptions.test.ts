import { expect, test } from 'vitest';
import { probes } from '../bpf/registry.ts';
import { metricDescriptions } from './metric-descriptions.ts';

const metric = { kind: 'histogram', number: 9001, sum: 9002, unit: 'us', name: 'wait_seconds', help: 'Waits.' } as const;
const describe = metricDescriptions([{ ...probes[0], name: 'waits', metrics: [metric] }]);

test('buckets of a histogram are shown up to the last that 64 bits have, whatever a topic holds', () => {
  const part = (of: string): unknown => describe('waits', `9001/${of}`)?.part;
  expect(part('64')).toBe(64);
  expect(part('sum')).toBe('sum');
  expect(['65', '4294967295', '-1', '1e9', '', 'x'].map(part)).toEqual(Array(6).fill(undefined));
  expect(describe('waits', '9001')).toBeUndefined();
});
