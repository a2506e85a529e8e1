import type { NetworkNamespace, Pod } from '../../proto/collect.ts';
import { recordOffsets as at, probes, recordBytes, recordFlags, tailBytes } from '../../schema/record.gen.ts';
import { type RecordFields, writeRecord } from '../../schema/record-writer.ts';

/** What becomes of an item, as the synthetic node knows it by construction. */
export type Fate = 'event' | 'unknown-probe' | 'unknown-variant';

/** Records of these are in no namespace that is ever announced. */
export const neverKnownEvery = 32;
const neverKnownAt = 9;
/** Event time by which some records are late, ns: more than a namespace is waited for. */
const lateNs = 4e9;
/** Every record carries a multiple of this many withheld ones at this distance. */
const suppressedEvery = 50;
export const suppressedEach = 3;

const sent = 1;
const received = 2;
const outside = [203, 0, 113, 9];
const outsideV6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

/** The phases of a synthetic node's life; identity messages go out where one begins. */
export interface Phase {
  /** The late namespace has records, and is not announced yet. */
  readonly lateOpen: boolean;
  /** `cache` is gone, and `moved` has its address. */
  readonly moved: boolean;
}

/** One machine of a synthetic capture: its namespaces, its Pods, and templates of its records. */
export class SyntheticNode {
  readonly name: string;
  readonly #number: number;
  readonly #first: readonly Buffer[];
  readonly #second: readonly Buffer[];
  readonly #late: readonly Buffer[];
  readonly #never: readonly Buffer[];
  readonly #unknownProbe: Buffer;
  readonly #unknownVariant: Buffer;

  constructor(number: number) {
    this.#number = number;
    this.name = `synthetic-${number}`;
    const sides = (cookie: number, index: number, far: readonly number[], farV6: readonly number[]): Buffer[] => [
      this.#template(cookie, index, {
        variant: sent,
        side: 2,
        code: 2,
        daddr: far,
        flags: recordFlags.SKB | recordFlags.CGROUP,
        cgroup: 10_000 + cookie,
      }),
      this.#template(cookie, index, {
        variant: received,
        side: 1,
        state: 2,
        daddr: farV6,
        family: 10,
        flags: recordFlags.SOCK | recordFlags.OWNER | recordFlags.CLIENT,
        tgid: 4000 + index,
        comm: `worker-${index}`,
        sock: 77_000 + index,
      }),
      this.#template(cookie, index, {
        variant: sent,
        side: 2,
        code: 11,
        state: 7,
        daddr: farV6,
        family: 10,
        flags: recordFlags.SOCK | recordFlags.OWNER | recordFlags.SERVER | recordFlags.TASK,
        tgid: 5000 + index,
        tid: 5001,
        comm: 'naïve "quoted"',
        sock: 78_000 + index,
        tail: new Uint8Array(tailBytes).fill(7),
      }),
      this.#template(cookie, index, {
        variant: received,
        side: 1,
        state: 1,
        daddr: far,
        flags: recordFlags.SOCK | recordFlags.V4MAPPED,
        sock: 79_000 + index,
      }),
    ];
    const shop = sides(this.#cookie(2), 2, this.#v4(4), this.#v6(4));
    const pay = sides(this.#cookie(3), 3, this.#v4(2), outsideV6);
    const host = sides(this.#cookie(1), 1, outside, this.#v6(3));
    this.#first = [...shop, ...pay, ...host, ...sides(this.#cookie(4), 4, this.#v4(2), this.#v6(2))];
    this.#second = [...shop, ...pay, ...host, ...sides(this.#cookie(6), 4, this.#v4(2), this.#v6(2))];
    this.#late = sides(this.#cookie(5), 5, this.#v4(2), this.#v6(2));
    this.#never = sides(this.#cookie(9), 9, outside, this.#v6(3));
    this.#unknownProbe = this.#template(this.#cookie(2), 2, { probe: 777, variant: sent });
    this.#unknownVariant = this.#template(this.#cookie(2), 2, { variant: 99 });
  }

  /** Writes the record of an item at `into[offset]`; returns its length. Its fate is that of `fateOf`. */
  write(item: number, bootNs: number, phase: Phase, into: Buffer, offset: number): number {
    const template = this.#templateOf(item, phase);
    const length = template.copy(into, offset);
    const ts = isLate(item) ? bootNs - lateNs : bootNs;
    into.writeUInt32LE(ts % 2 ** 32, offset + at.ts);
    into.writeUInt32LE(Math.floor(ts / 2 ** 32), offset + at.ts + 4);
    into.writeUInt16LE(1024 + (item % 60_000), offset + at.sport);
    into.writeUInt16LE(1 + (item % 1000), offset + at.dport);
    if (isSuppressing(item)) into.writeUInt32LE(suppressedEach, offset + at.v);
    return length;
  }

  /** Records of a namespace that is never announced, whatever the item numbers. */
  writeNeverKnown(bootNs: number, into: Buffer, offset: number): number {
    const length = this.#never[0].copy(into, offset);
    into.writeBigUInt64LE(BigInt(bootNs), offset + at.ts);
    return length;
  }

  /** What is announced at the start of a session. */
  namespacesAtStart(): NetworkNamespace[] {
    return [1, 2, 3, 4].map((index) => this.#netns(index, 0));
  }

  lateNamespace(fromBootNs: number): NetworkNamespace[] {
    return [this.#netns(5, fromBootNs)];
  }

  /** One gets another name, one ends, and a new one takes its addresses over. */
  namespacesMoved(bootNs: number): NetworkNamespace[] {
    const renamed = { ...this.#netns(2, 0), names: ['shop', 'shop-canary'], processes: [{ pid: 4242, comm: 'canary' }] };
    const moved = { ...this.#netns(6, bootNs), addresses: [Buffer.from(mapped(this.#v4(4))), Buffer.from(this.#v6(4))] };
    return [renamed, { ...this.#netns(4, 0), toBootNs: bootNs }, moved];
  }

  /** `shop` and `cache` are Pods, `pay` is nobody's. */
  podsAtStart(): Pod[] {
    return [this.#pod('shop-0', 2, 0), this.#pod('cache-0', 4, 0)];
  }

  /** The Pod of `cache` ends, and the next one of its name takes its addresses over. */
  podsMoved(bootNs: number): Pod[] {
    return [{ ...this.#pod('cache-0', 4, 0), toBootNs: bootNs }, this.#pod('cache-0', 6, bootNs)];
  }

  /** Whom conntrack finds behind the address of an item: a namespace of the node, or somebody outside. */
  translated(item: number): Uint8Array {
    return Uint8Array.from(mapped(item % 16 === 3 ? this.#v4(3) : outside));
  }

  #pod(name: string, index: number, fromBootNs: number): Pod {
    return {
      sandboxId: `sandbox-${this.#cookie(index)}`,
      uid: `uid-${this.#cookie(index)}`,
      namespace: 'synthetic',
      name,
      netns: this.#cookie(index),
      containers: [{ id: `container-${this.#cookie(index)}`, name: 'app', cgroups: [10_000 + this.#cookie(index)] }],
      fromBootNs,
    };
  }

  #netns(index: number, fromBootNs: number): NetworkNamespace {
    const names = ['', 'host', 'shop', 'pay', 'cache', 'late', 'moved'];
    return {
      cookie: this.#cookie(index),
      inode: 4_026_531_840 + this.#number * 100 + index,
      names: index === 1 ? [] : [names[index]],
      processes: index === 3 ? [{ pid: 300 + this.#number, comm: 'payd' }] : [],
      addresses: [Buffer.from(mapped(this.#v4(index))), Buffer.from(this.#v6(index))],
      fromBootNs,
      toBootNs: 0,
      host: index === 1,
    };
  }

  #templateOf(item: number, phase: Phase): Buffer {
    const fate = fateOf(item);
    if (fate === 'unknown-probe') return this.#unknownProbe;
    if (fate === 'unknown-variant') return this.#unknownVariant;
    if (isNeverKnown(item)) return this.#never[(item >>> 5) & 3];
    if (phase.lateOpen && item % 16 === 7) return this.#late[(item >>> 4) & 3];
    const templates = phase.moved ? this.#second : this.#first;
    return templates[item % templates.length];
  }

  #template(net: number, index: number, fields: RecordFields): Buffer {
    const isV6 = fields.family === 10;
    const saddr = isV6 ? this.#v6(index) : this.#v4(index);
    return Buffer.from(writeRecord({ probe: probes.TCPRESET, family: 2, proto: 6, cpu: index, saddr, net, ifindex: index, ...fields }));
  }

  #cookie(index: number): number {
    return this.#number * 1000 + index;
  }

  #v4(index: number): readonly number[] {
    return [10, this.#number, 0, index];
  }

  #v6(index: number): readonly number[] {
    return [0xfd, 0, 0, this.#number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index];
  }
}

/** Longest record that `write` makes. */
export const maxRecordBytes = recordBytes + tailBytes;

export function fateOf(item: number): Fate {
  if (item % 997 === 5) return 'unknown-probe';
  if (item % 997 === 6) return 'unknown-variant';
  return 'event';
}

/** Whether an item's record is of a namespace that nobody ever announces. */
export function isNeverKnown(item: number): boolean {
  return item % neverKnownEvery === neverKnownAt && fateOf(item) === 'event';
}

/** Whether an item's record tells of withheld ones. */
export function isSuppressing(item: number): boolean {
  return item % suppressedEvery === 0;
}

/** Late records: known ones, and some of the never known. */
function isLate(item: number): boolean {
  return item % 64 === 11 || item % 128 === 41;
}

function mapped(v4: readonly number[]): number[] {
  return [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...v4];
}
