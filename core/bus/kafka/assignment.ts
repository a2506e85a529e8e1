import { AssignerProtocol } from 'kafkajs';

/** Name of the protocol that the members of a group agree on; others refuse to join. */
export const assignmentProtocol = 'jitterscope-sticky-1';
const version = 1;

/** A member of a group, as it joins. */
export interface Member {
  readonly memberId: string;
  /** Partitions it worked on before. */
  readonly owned: readonly number[];
}

/** Partitions dealt evenly; whoever had one keeps it where that is even. */
export function deal(members: readonly Member[], partitions: number): Map<string, number[]> {
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const dealt = new Map<string, number[]>(sorted.map(({ memberId }) => [memberId, []]));
  const least = Math.floor(partitions / sorted.length);
  let larger = partitions % sorted.length;
  const free = new Set(Array.from({ length: partitions }, (_, partition) => partition));
  // Those that had most take the larger shares: fewer change hands.
  const byOwned = [...sorted].sort((a, b) => b.owned.length - a.owned.length);
  const quota = new Map(byOwned.map(({ memberId }) => [memberId, least + (larger-- > 0 ? 1 : 0)]));
  for (const { memberId, owned } of byOwned) {
    const mine = [...new Set(owned)].filter((partition) => free.has(partition)).slice(0, quota.get(memberId));
    for (const partition of mine) free.delete(partition);
    dealt.get(memberId)?.push(...mine);
  }
  const left = [...free];
  for (const [memberId, mine] of dealt) mine.push(...left.splice(0, (quota.get(memberId) ?? 0) - mine.length));
  return dealt;
}

/** What a member tells when it joins. */
export function encodeMember(topic: string, owned: readonly number[]): Buffer {
  return AssignerProtocol.MemberMetadata.encode({ version, topics: [topic], userData: Buffer.from(JSON.stringify(owned)) });
}

/** Partitions that a member says it had; none of another version. */
export function ownedOf(metadata: Buffer): number[] {
  try {
    const owned: unknown = JSON.parse(AssignerProtocol.MemberMetadata.decode(metadata)?.userData.toString() ?? '[]');
    return Array.isArray(owned) ? owned.filter((partition): partition is number => Number.isInteger(partition)) : [];
  } catch {
    return [];
  }
}

export function encodeAssignment(topic: string, partitions: readonly number[]): Buffer {
  return AssignerProtocol.MemberAssignment.encode({ version, assignment: { [topic]: [...partitions] }, userData: Buffer.alloc(0) });
}

/** The partitions of a topic that the leader gave to this member. */
export function decodeAssignment(topic: string, bytes: Buffer): number[] {
  return AssignerProtocol.MemberAssignment.decode(bytes)?.assignment[topic] ?? [];
}
