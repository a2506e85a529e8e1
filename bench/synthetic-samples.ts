import type { CollectorBody, SampleLayout, TargetSamples } from '../proto/collect.ts';
import { knownFields } from '../schema/metrics.ts';
import { firstCookie, netnsCount, syntheticNetns } from './synthetic-records.ts';

/** Targets of one message: some 300 KiB with all values. */
const perMessage = 100;
const sources = ['snmp', 'snmp6', 'netstat', 'sockstat', 'sockstat6', 'netdev'];

/** What the kernel counts in a namespace: fields of all sources that the catalogue knows, up to so many. */
export function syntheticLayouts(maxFields: number): SampleLayout[] {
  const known = [...knownFields()];
  let left = maxFields;
  return sources.flatMap((source, at) => {
    const fields = known
      .filter((field) => field.source === source)
      .map(({ field }) => field)
      .slice(0, left);
    left -= fields.length;
    return fields.length === 0 ? [] : [{ id: at + 1, source, fields }];
  });
}

/** A node's keyframe and its first samples: everything of `netnsCount` namespaces. */
export function openingBodies(layouts: readonly SampleLayout[]): CollectorBody[] {
  const boot = { bootId: 'bench', firstOffset: { seconds: 1.79e9, nanos: 0 } };
  const enums = [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] }];
  const targets = layouts.flatMap(({ id = 0, fields }) =>
    Array.from({ length: netnsCount }, (_, netns): TargetSamples => {
      const values = (fields ?? []).map((_field, at) => at * 1000 + netns);
      return { layout: id, netns: cookieOf(netns), bootNs: 1e9, values, all: true, ...(id === 6 ? { labels: { device: 'eth0' } } : {}) };
    }),
  );
  const samples: CollectorBody[] = [];
  for (let at = 0; at < targets.length; at += perMessage) {
    const isLast = at + perMessage >= targets.length;
    samples.push({
      samples: { layouts: at === 0 ? [...layouts] : [], targets: targets.slice(at, at + perMessage), full: true, end: isLast },
    });
  }
  return [{ keyframe: { nextItem: 0, parts: 1, identity: { netns: syntheticNetns() }, enums, ...boot } }, ...samples];
}

/** A cycle in which every tenth value changed. */
export function cycleBodies(layouts: readonly SampleLayout[], cycle: number): CollectorBody[] {
  const targets = layouts.flatMap(({ id = 0, fields }) =>
    Array.from({ length: netnsCount }, (_, netns): TargetSamples => {
      const indexes = (fields ?? []).map((_field, at) => at).filter((at) => at % 10 === cycle % 10);
      const values = indexes.map((at) => at * 1000 + netns + cycle * 17);
      return {
        layout: id,
        netns: cookieOf(netns),
        bootNs: 1e9 + cycle * 2e9,
        indexes,
        values,
        ...(id === 6 ? { labels: { device: 'eth0' } } : {}),
      };
    }),
  );
  const bodies: CollectorBody[] = [];
  for (let at = 0; at < targets.length; at += perMessage)
    bodies.push({ samples: { targets: targets.slice(at, at + perMessage), end: at + perMessage >= targets.length } });
  return bodies;
}

function cookieOf(netns: number): number {
  return firstCookie + netns;
}
