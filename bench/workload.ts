import { RawMessage } from '../proto/bus.ts';
import { CollectorMessage, type NetworkNamespace, type Pod } from '../proto/collect.ts';
import { recordOffsets as at, recordFlags } from '../schema/record.gen.ts';
import { writeRecord } from '../schema/record-writer.ts';
import { encodeStreamMessage } from '../services/gateway/raw-encoder.ts';

/** Workload W (design budgets): nodes with Pods whose records come in batches of 200 ms, with heartbeats and ticks each second. */
export interface Workload {
  readonly nodes: number;
  readonly podsPerNode: number;
  readonly seconds: number;
  /** Of all nodes together. */
  readonly recordsPerSecond: number;
  /** One of so many records is a reset; all others are retransmits, of which `aggregator.events` makes no events. */
  readonly resetEvery: number;
}

/** Severity from which on records become events, by probe number: resets do, retransmits do not. */
export const workloadSeverities: ReadonlyMap<number, number> = new Map([
  [1, 1],
  [2, 2],
]);

const batchesPerSecond = 5;
const startUnixS = 1_790_000_000;
const bootS = 100_000;
const firstCookie = 4096;
const firstCgroup = 90_000;
const clockOffset = { seconds: startUnixS - bootS, nanos: 0 };

const common = { family: 2, proto: 6, side: 2, sport: 8080, dport: 40_000, saddr: [10, 0, 0, 1], daddr: [10, 0, 0, 2] };
const resetTemplate = writeRecord({
  ...common,
  probe: 1,
  variant: 1,
  flags: recordFlags.SKB | recordFlags.SERVER | recordFlags.CGROUP,
  code: 3,
});
const retransmitTemplate = writeRecord({
  ...common,
  probe: 2,
  variant: 1,
  flags: recordFlags.SOCK | recordFlags.SERVER | recordFlags.CGROUP,
  state: 1,
  sock: 12,
  code: 1,
  v: [0, 1234, 10],
  tail: new Uint8Array(64),
});

/** Raw messages of the workload as the gateway writes them; each stands for itself. */
export function* workloadMessages(of: Workload): Generator<Uint8Array> {
  const { nodes, podsPerNode, seconds, recordsPerSecond, resetEvery } = of;
  const perBatch = Math.floor(recordsPerSecond / nodes / batchesPerSecond);
  const sent = new Uint32Array(nodes);
  const items = new Uint32Array(nodes);
  const raw = (node: number, body: object): Uint8Array => {
    const message = CollectorMessage.encode({ ...body, seq: ++sent[node] }).finish();
    return Buffer.concat(encodeStreamMessage(`node-${node}`, Buffer.alloc(16, node + 1), message));
  };
  const enums = [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] }];
  for (let node = 0; node < nodes; node++) {
    const identity = { netns: netnsOf(node, podsPerNode), pods: podsOf(node, podsPerNode), nodeCgroups: [1] };
    yield raw(node, { keyframe: { nextItem: 0, part: 0, parts: 1, firstOffset: clockOffset, bootId: `boot-${node}`, identity, enums } });
  }
  for (let second = 0; second < seconds; second++) {
    for (let batch = 0; batch < batchesPerSecond; batch++) {
      for (let node = 0; node < nodes; node++) {
        const fromNs = (bootS + second + batch / batchesPerSecond) * 1e9;
        const stepNs = Math.floor(1e9 / batchesPerSecond / perBatch);
        const records = recordsOf(node, podsPerNode, items[node], perBatch, fromNs, stepNs, resetEvery);
        yield raw(node, { batch: { firstItem: items[node], count: perBatch, records, clockOffset } });
        items[node] += perBatch;
      }
    }
    for (let node = 0; node < nodes; node++)
      yield raw(node, { heartbeat: { bootNs: (bootS + second + 1) * 1e9, clockOffset, nextItem: items[node] } });
    yield RawMessage.encode({ appended: { seconds: startUnixS + second + 1, nanos: 0 }, tick: { number: second + 1 } }).finish();
  }
}

function recordsOf(
  node: number,
  pods: number,
  firstItem: number,
  count: number,
  fromNs: number,
  stepNs: number,
  resetEvery: number,
): Buffer {
  const bytes = Buffer.alloc(count * retransmitTemplate.length);
  let start = 0;
  for (let index = 0; index < count; index++) {
    const item = firstItem + index;
    const template = item % resetEvery === 0 ? resetTemplate : retransmitTemplate;
    const pod = (item * 7919) % pods;
    bytes.set(template, start);
    bytes.writeBigUInt64LE(BigInt(fromNs + index * stepNs), start + at.ts);
    bytes.writeUInt32LE(firstCookie + pod, start + at.net);
    bytes.writeUInt32LE(firstCgroup + pod, start + at.cgroup);
    bytes.writeUInt8(node, start + at.saddr + 13);
    bytes.writeUInt16BE(pod, start + at.saddr + 14);
    bytes.writeUInt8(node, start + at.daddr + 13);
    bytes.writeUInt16BE((pod + 1) % pods, start + at.daddr + 14);
    bytes.writeUInt16LE(32_768 + (item % 28_000), start + at.dport);
    start += template.length;
  }
  return bytes.subarray(0, start);
}

function netnsOf(node: number, pods: number): NetworkNamespace[] {
  return Array.from({ length: pods }, (_, pod) => {
    const address = Buffer.from('00000000000000000000ffff0a000000', 'hex');
    address.writeUInt8(node, 13);
    address.writeUInt16BE(pod, 14);
    return { cookie: firstCookie + pod, inode: 4_026_532_000 + pod, addresses: [address], fromBootNs: 1 };
  });
}

function podsOf(node: number, pods: number): Pod[] {
  return Array.from({ length: pods }, (_, pod) => ({
    sandboxId: `sandbox-${node}-${pod}`,
    uid: `0b7f3c5e-8d21-4c8e-${String(node).padStart(4, '0')}-${String(pod).padStart(12, '0')}`,
    namespace: `team-${pod % 20}`,
    name: `web-7d4b9c6f5d-${node}-${pod}`,
    netns: firstCookie + pod,
    containers: [{ id: String(pod).padStart(64, 'c'), name: 'nginx', cgroups: [firstCgroup + pod] }],
    fromBootNs: 1,
  }));
}
