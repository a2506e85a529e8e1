import type { Probe } from '../../bpf/probe.ts';
import { type Instant, instantOf } from '../../core/time.ts';
import type { Native } from '../../native/addon.ts';
import type { EnumNames, Identity, Keyframe } from '../../proto/collect.ts';
import type { Counter } from './counters.ts';
import type { Downtime } from './downtime.ts';
import type { LiveIdentity } from './identity/node-identity.ts';

/** Namespaces and counters of one part: keeps a part far below the message limit. */
const perPart = 4096;
/** A Pod has labels and containers: some KiB at most. */
const podsPerPart = 256;

/** When a keyframe was taken. */
export interface KeyframeTimes {
  /** Number of the item after it. */
  readonly nextItem: number;
  /** The session's first offset from boot time to wall time. */
  readonly firstOffset: Instant;
  readonly bootNs: number;
  readonly bootId: string;
}

/** Everything needed to start reading a session's stream, in parts. */
export function keyframeParts(
  { nextItem, firstOffset, bootNs, bootId }: KeyframeTimes,
  { netns, pods, nodeCgroups }: LiveIdentity,
  enums: readonly EnumNames[],
  counters: readonly Counter[],
  downtime: Downtime | undefined,
  places: Pick<Identity, 'symbols' | 'stacks'> = {},
): Keyframe[] {
  const longest = Math.max(netns.length, counters.length, nodeCgroups.length) / perPart;
  const parts = Math.max(1, Math.ceil(longest), Math.ceil(pods.length / podsPerPart));
  const sliceOf = <Item>(items: readonly Item[], part: number, size = perPart): Item[] => items.slice(part * size, (part + 1) * size);
  return Array.from({ length: parts }, (_, part) => ({
    nextItem,
    firstOffset,
    part,
    parts,
    bootNs,
    bootId,
    identity: {
      netns: sliceOf(netns, part),
      pods: sliceOf(pods, part, podsPerPart),
      nodeCgroups: sliceOf(nodeCgroups, part),
      ...(part === 0 ? places : {}),
    },
    counters: sliceOf(counters, part),
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
