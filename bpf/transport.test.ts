import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Native } from '../native/addon.ts';
import { chooseTransport, perfCpuBytes } from './transport.ts';

/** A kernel that has these map types. */
function values(...names: string[]): Pick<Native, 'enumValues'> {
  return { enumValues: () => names.map((name, value) => [value, name]) };
}

const withoutBtf: Pick<Native, 'enumValues'> = { enumValues: () => undefined };

test.each([
  ['auto', values('BPF_MAP_TYPE_HASH', 'BPF_MAP_TYPE_RINGBUF'), 'ring'],
  ['auto', values('BPF_MAP_TYPE_HASH'), 'perf'],
  ['auto', withoutBtf, 'perf'],
  ['perf', values('BPF_MAP_TYPE_RINGBUF'), 'perf'],
  ['ring', values(), 'ring'],
] as const)('%s', (wanted, kernel, chosen) => {
  expect(chooseTransport(kernel, wanted)).toBe(chosen);
});

test('the buffers of all CPUs together are at most as large as wanted, unless there are very many CPUs', () => {
  fc.assert(
    fc.property(fc.integer({ min: 12, max: 30 }), fc.integer({ min: 1, max: 8192 }), (power, cpus) => {
      const bytes = perfCpuBytes(2 ** power, cpus);
      expect(Math.log2(bytes) % 1).toBe(0);
      expect(bytes).toBeGreaterThanOrEqual(Math.min(2 ** power, 65_536));
      if (bytes > 65_536) expect(bytes * cpus).toBeLessThanOrEqual(2 ** power);
    }),
  );
  expect([1, 2, 3, 64, 128].map((cpus) => perfCpuBytes(4 * 2 ** 20, cpus) / 2 ** 10)).toEqual([4096, 2048, 1024, 64, 64]);
});
