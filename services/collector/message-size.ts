import type { CollectorBody, Identity, Samples } from '../../proto/collect.ts';

/** Bytes of one entry, roughly: what a message takes in memory until it is written, not what it is on the wire. */
const entryBytes = {
  message: 256,
  target: 128,
  value: 8,
  counter: 64,
  netns: 512,
  pod: 2048,
  cgroup: 8,
  symbol: 64,
  stack: 512,
  translation: 64,
};

/** How much memory a message takes about, so that those that wait for a disk can be bounded. */
export function messageBytes({ batch, samples, identity, keyframe }: CollectorBody): number {
  return (
    entryBytes.message +
    (batch?.records?.length ?? 0) +
    (batch?.translations?.length ?? 0) * entryBytes.translation +
    (samples ? samplesBytes(samples) : 0) +
    (identity ? identityBytes(identity) : 0) +
    (keyframe ? (keyframe.counters?.length ?? 0) * entryBytes.counter + identityBytes(keyframe.identity ?? {}) : 0)
  );
}

function samplesBytes({ layouts, targets, counters }: Samples): number {
  let bytes = (counters?.length ?? 0) * entryBytes.counter;
  for (const { fields } of layouts ?? []) bytes += (fields?.length ?? 0) * entryBytes.value;
  for (const { indexes, values } of targets ?? [])
    bytes += entryBytes.target + ((indexes?.length ?? 0) + (values?.length ?? 0)) * entryBytes.value;
  return bytes;
}

function identityBytes({ netns, pods, nodeCgroups, symbols, stacks }: Identity): number {
  return (
    (netns?.length ?? 0) * entryBytes.netns +
    (pods?.length ?? 0) * entryBytes.pod +
    (nodeCgroups?.length ?? 0) * entryBytes.cgroup +
    (symbols?.length ?? 0) * entryBytes.symbol +
    (stacks?.length ?? 0) * entryBytes.stack
  );
}
