import { recordOffsets as at, recordBytes, recordFlags } from '../schema/record.gen.ts';
import { writeRecord } from '../schema/record-writer.ts';
import { SessionState } from '../services/aggregator/session.ts';

/** Records of one node, end to end. Their times are given by `stamp`. */
export interface SyntheticNode {
  readonly session: SessionState;
  readonly records: Uint8Array;
  readonly count: number;
}

/** Pods that a Pod talks to. */
const peersPerPod = 12;
const firstCookie = 4096;
const hostCookie = 1;

/** Nodes with Pods, and records of all probes from random Pods of a node to twelve others of it each, `count` of each node. */
export function syntheticNodes(nodes: number, podsPerNode: number, count: number): SyntheticNode[] {
  const random = randomOf(1);
  return Array.from({ length: nodes }, (_, index) => {
    const session = sessionOf(`node${index}`, podsPerNode);
    const records = new Uint8Array(count * recordBytes);
    const kinds = recordKinds();
    for (let record = 0; record < count; record++) {
      const start = record * recordBytes;
      records.set(kinds[Math.floor(random() * kinds.length)], start);
      const view = new DataView(records.buffer, start);
      const pod = Math.floor(random() * podsPerNode);
      const peer = (pod * 7 + Math.floor(random() * peersPerPod) * 13) % podsPerNode;
      view.setUint32(at.net, firstCookie + pod, true);
      view.setUint16(at.saddr + 14, pod);
      view.setUint16(at.daddr + 14, peer);
      view.setUint16(at.sport, 8080 + Math.floor(random() * 3), true);
      view.setUint16(at.dport, 32_768 + Math.floor(random() * 28_000), true);
    }
    return { session, records, count };
  });
}

/** Gives a node's records times from a boot time on, `stepNs` apart. */
export function stamp({ records, count }: SyntheticNode, firstNs: number, stepNs: number): void {
  const view = new DataView(records.buffer);
  for (let record = 0; record < count; record++) {
    const ns = firstNs + record * stepNs;
    view.setUint32(record * recordBytes + at.ts, ns >>> 0, true);
    view.setUint32(record * recordBytes + at.ts + 4, Math.floor(ns / 2 ** 32), true);
  }
}

/** One record of each probe. */
function recordKinds(): Uint8Array[] {
  return [1, 2, 3, 4, 5].map((probe) =>
    writeRecord({
      probe,
      variant: 1,
      flags: recordFlags.SKB | recordFlags.SERVER,
      family: 2,
      proto: 6,
      side: 2,
      code: 3,
      v: [0, 1500, 10],
      saddr: [10, 244, 0, 1],
      daddr: [10, 244, 0, 2],
    }),
  );
}

function sessionOf(node: string, pods: number): SessionState {
  const session = new SessionState(node, '01'.repeat(16), { bytes: 0 }, { gapItems: 0, skippedItems: {}, kernelLostRecords: {} });
  session.firstOffset = { seconds: 1_790_000_000, nanos: 0 };
  session.learnEnums([
    { name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] },
    { name: 'skb_drop_reason', values: [{ value: 3, name: 'NETFILTER_DROP' }] },
  ]);
  const numbers = Array.from({ length: pods }, (_, pod) => pod);
  const netns = numbers.map((pod) => {
    const address = Buffer.from('00000000000000000000ffff0af40000', 'hex');
    address.writeUInt16BE(pod, 14);
    return { cookie: firstCookie + pod, inode: 4_026_532_000 + pod, names: [`pod-${pod}`], addresses: [address], fromBootNs: 1 };
  });
  const named = numbers.map((pod) => ({
    sandboxId: `sandbox-${pod}`,
    uid: `0b7f3c5e-8d21-4c8e-9a55-${node}-${pod}`,
    namespace: 'shop',
    name: `web-${node}-${pod}`,
    netns: firstCookie + pod,
    containers: [],
    fromBootNs: 1,
  }));
  session.identity.learn({ netns: [{ cookie: hostCookie, inode: 1, host: true, fromBootNs: 1 }, ...netns], pods: named }, 0);
  return session;
}

/** mulberry32: the same numbers in every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
