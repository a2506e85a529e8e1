import { CollectorMessage, type NetworkNamespace, type Pod } from '../proto/collect.ts';
import { recordOffsets as at, recordBytes, recordFlags } from '../schema/record.gen.ts';
import { writeRecord } from '../schema/record-writer.ts';

/** Namespaces that the records are of. */
export const netnsCount = 300;

/** Cookie of the first one; the others follow. */
export const firstCookie = 4096;
const firstCgroup = 9000;

/** tcpreset records of `netnsCount` namespaces, `stepNs` of event time apart, end to end. */
export function syntheticRecords(count: number, firstNs: number, stepNs: number): Buffer {
  const template = writeRecord({
    probe: 1,
    variant: 1,
    flags: recordFlags.SKB | recordFlags.SERVER | recordFlags.CGROUP,
    family: 2,
    proto: 6,
    side: 2,
    code: 3,
    sport: 81,
    dport: 40_000,
    saddr: [10, 244, 0, 1],
    daddr: [10, 244, 0, 2],
  });
  const bytes = Buffer.alloc(count * recordBytes);
  for (let index = 0; index < count; index++) {
    const start = index * recordBytes;
    const netns = (index * 7919) % netnsCount;
    bytes.set(template, start);
    bytes.writeBigUInt64LE(BigInt(firstNs + index * stepNs), start + at.ts);
    bytes.writeUInt32LE(firstCookie + netns, start + at.net);
    bytes.writeUInt32LE(firstCgroup + netns, start + at.cgroup);
    bytes.writeUInt16BE(netns, start + at.saddr + 14);
    bytes.writeUInt16BE((netns + 1) % netnsCount, start + at.daddr + 14);
    bytes.writeUInt16LE(32_768 + (index % 28_000), start + at.dport);
  }
  return bytes;
}

/** The namespaces, each with one address. */
export function syntheticNetns(): NetworkNamespace[] {
  return Array.from({ length: netnsCount }, (_, netns) => {
    const address = Buffer.from('00000000000000000000ffff0af40000', 'hex');
    address.writeUInt16BE(netns, 14);
    return { cookie: firstCookie + netns, inode: 4026532000 + netns, names: [`pod-${netns}`], addresses: [address], fromBootNs: 1 };
  });
}

/** A Pod with one container for each namespace. */
function syntheticPods(): Pod[] {
  return Array.from({ length: netnsCount }, (_, netns) => ({
    sandboxId: `sandbox-${netns}`,
    uid: `0b7f3c5e-8d21-4c8e-9a55-${String(netns).padStart(12, '0')}`,
    namespace: 'shop',
    name: `web-7d4b9c6f5d-${netns}`,
    netns: firstCookie + netns,
    containers: [{ id: String(netns).padStart(64, 'c'), name: 'nginx', cgroups: [firstCgroup + netns] }],
    fromBootNs: 1,
  }));
}

/** The messages of one session: a keyframe, then batches. With Pods, the namespaces are theirs. */
export function* syntheticStream(records: number, batchRecords: number, withPods = false): Generator<Uint8Array> {
  const enums = [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] }];
  yield CollectorMessage.encode({
    seq: 1,
    keyframe: { nextItem: 0, parts: 1, identity: { netns: syntheticNetns(), pods: withPods ? syntheticPods() : [] }, enums },
  }).finish();
  const startNs = 1e14;
  const stepNs = 2_000;
  for (let first = 0, seq = 2; first < records; first += batchRecords, seq++) {
    const count = Math.min(batchRecords, records - first);
    const batch = {
      firstItem: first,
      count,
      records: syntheticRecords(count, startNs + first * stepNs, stepNs),
      clockOffset: { seconds: 1.8e9, nanos: 0 },
    };
    yield CollectorMessage.encode({ seq, batch }).finish();
  }
}
