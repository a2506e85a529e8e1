import { probes } from '../../../bpf/registry.ts';
import type { RuleEntity } from './entity-table.ts';
import type { RuleDomain } from './rule-domain.ts';

/** Why a signal of an entity cannot be seen as it should, and what to do about it; undefined: it can. */
export function sightNote({ values, plan }: RuleDomain, { index }: Pick<RuleEntity, 'index'>, signal: number): string | undefined {
  const { sight } = values;
  const blindness = sight.of(index, signal);
  if (blindness === 'READ_LATE') {
    const { windowS } = plan.windows.signals[signal].signal;
    return `its source is read each ${sight.gapS(signal)} s or later, too seldom for a window of ${windowS} s: collector.sampleInterval, or a busy node`;
  }
  const gaps = sight.gapsOf(signal);
  const name = probes.find(({ number }) => number === gaps[0]?.probe)?.name ?? 'unknown';
  const failed = gaps.find(({ state }) => state === 'failed' || state === 'degraded');
  if (blindness !== 'PROBE_OFF')
    return failed === undefined ? undefined : `the probe ${name} does not see all: ${failed.cause}; jitterscope doctor says what to do`;
  if (failed?.state === 'failed') return `the probe ${name} cannot be attached: ${failed.cause}; jitterscope doctor says what to do`;
  const isPartly = gaps.some(({ state }) => state === 'listed' || state === 'unlisted');
  return `the probe ${name} is off${isPartly ? ' here' : ''}; turn it on with: jitterscope probes enable ${name}`;
}
