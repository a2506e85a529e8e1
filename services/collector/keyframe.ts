import type { Probe } from '../../bpf/probe.ts';
import { type Instant, instantOf } from '../../core/time.ts';
import type { Native } from '../../native/addon.ts';
import type { EnumNames, Keyframe, NetworkNamespace } from '../../proto/collect.ts';
import type { Counter } from './counters.ts';
import type { Downtime } from './downtime.ts';

/** Namespaces and counters of one part: keeps a part far below the message limit. */
const perPart = 4096;

/** Everything needed to start reading a session's stream, in parts. */
export function keyframeParts(
  nextItem: number,
  firstOffset: Instant,
  netns: readonly NetworkNamespace[],
  enums: readonly EnumNames[],
  counters: readonly Counter[],
  downtime: Downtime | undefined,
): Keyframe[] {
  const parts = Math.max(1, Math.ceil(netns.length / perPart), Math.ceil(counters.length / perPart));
  return Array.from({ length: parts }, (_, part) => ({
    nextItem,
    firstOffset,
    part,
    parts,
    identity: { netns: netns.slice(part * perPart, (part + 1) * perPart) },
    counters: counters.slice(part * perPart, (part + 1) * perPart),
    enums: part === 0 ? [...enums] : [],
    ...(part === 0 && downtime !== undefined
      ? { downtime: { fromUnix: instantOf(downtime.fromUnixNs), toUnix: instantOf(downtime.toUnixNs) } }
      : {}),
  }));
}

/** Names of the kernel enumerations that the probes' codes are of, read from the running kernel. */
export function enumNames(probes: readonly Probe[], native: Pick<Native, 'enumValues'>): EnumNames[] {
  const names = new Map<string, EnumNames>();
  for (const { name, prefix } of probes.flatMap((probe) => probe.enumerations)) {
    const values = native.enumValues(name) ?? [];
    names.set(name, {
      name,
      values: values.map(([value, text]) => ({ value, name: text.startsWith(prefix) ? text.slice(prefix.length) : text })),
    });
  }
  return [...names.values()];
}
