import type { Instant } from '../../core/time.ts';
import { U64Index } from '../../core/u64-index.ts';
import type { RecordBatch } from '../../proto/collect.ts';
import { recordFlags, recordOffsets } from '../../schema/record.gen.ts';
import type { KernelPlaces } from './kernel-places.ts';
import { SkippedRanges } from './skipped-ranges.ts';

const lenAt = recordOffsets.len;
const netAt = recordOffsets.net;
const cgroupAt = recordOffsets.cgroup;
const flagsAt = recordOffsets.flags;
const probeAt = recordOffsets.probe;
const stackAt = recordOffsets.stack;
const lenUnit = 64;

/** Unknown ones of a chunk that are told. */
const maxUnknownKeys = 64;

/** What the batcher hands on when a batch is full. */
export type SealedBatch = RecordBatch & { readonly firstItem: number; readonly count: number };

/** Whose records are watched for places in the kernel's code that the stream has not named. */
export interface WatchedPlaces {
  readonly places: Pick<KernelPlaces, 'siteAt' | 'see'>;
  /** Is called before records with such places are numbered. */
  unnamed(): void;
}

/**
 * Numbers items in drain order and gathers them into batches. Bytes are kept as they came; a record is only looked at
 * for its length and its namespace.
 */
export class Batcher {
  readonly #maxBytes: number;
  readonly #seal: (batch: SealedBatch) => void;
  readonly #unknown: (keys: readonly number[]) => void;
  readonly #watched: WatchedPlaces | undefined;
  #known = new U64Index();
  #knownCgroups = new U64Index();
  /** The node's own namespace, as two halves; records from it may be a Pod's. */
  #hostLo = -1;
  #hostHi = -1;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #firstItem = 0;
  #count = 0;
  /** What each probe's ring lost since the session's start. */
  readonly #kernelLosses = new Map<number, number>();
  /** Probes whose losses the next batch tells. */
  readonly #lossesToTell = new Set<number>();
  readonly #skipped = new SkippedRanges();
  clockOffset: Instant;

  /**
   * @param seal takes a full batch
   * @param unknown is called before records are numbered whose namespace (its cookie), or cgroup in the node's own (its id, negative), nobody knows
   */
  constructor(
    maxBytes: number,
    clockOffset: Instant,
    seal: (batch: SealedBatch) => void,
    unknown: (keys: readonly number[]) => void,
    watched?: WatchedPlaces,
  ) {
    this.#maxBytes = maxBytes;
    this.clockOffset = clockOffset;
    this.#seal = seal;
    this.#unknown = unknown;
    this.#watched = watched;
  }

  /** Number of the next item. */
  get nextItem(): number {
    return this.#firstItem + this.#count;
  }

  /** Whether anything waits. */
  get pending(): boolean {
    return this.#count > 0 || this.#lossesToTell.size > 0 || this.#skipped.size > 0;
  }

  /** Items declared to be skipped that no batch has told of yet. */
  get skippedPending(): number {
    return this.#skipped.items;
  }

  /** Namespaces by cookie: records of others are announced to `unknown`. */
  setKnown(cookies: Iterable<number>): void {
    this.#known = indexOf(cookies);
  }

  /** Cgroups of which it is known whose they are: records of others in the namespace `host` are announced too. */
  setKnownCgroups(host: number | undefined, cgroups: Iterable<number>): void {
    this.#hostLo = host === undefined ? -1 : host >>> 0;
    this.#hostHi = host === undefined ? -1 : Math.floor(host / 2 ** 32);
    this.#knownCgroups = indexOf(host === undefined ? [] : cgroups);
  }

  /** Takes a chunk of whole records. */
  add(chunk: Buffer): void {
    const { records, unknown } = this.#scan(chunk);
    if (unknown.length > 0) this.#unknown(unknown);
    if (this.#watched !== undefined && this.#seePlaces(chunk, this.#watched.places)) this.#watched.unnamed();
    if (this.#bytes > 0 && this.#bytes + chunk.length > this.#maxBytes) this.flush();
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#count += records;
    if (this.#bytes >= this.#maxBytes) this.flush();
  }

  /** Records of a probe that the kernel had no room for since the session's start: told with the next batch if there are more. */
  kernelLost(probe: number, total: number): void {
    if (total <= (this.#kernelLosses.get(probe) ?? 0)) return;
    this.#kernelLosses.set(probe, total);
    this.#lossesToTell.add(probe);
  }

  /** Tells all kernel losses again with the next batch: a message that told of them may be lost. */
  tellKernelLossesAgain(): void {
    for (const probe of this.#kernelLosses.keys()) this.#lossesToTell.add(probe);
  }

  /** Items that were numbered and will not be sent: told with the next batches. */
  skip(firstItem: number, count: number, reason: string): void {
    this.#skipped.add(firstItem, count, reason);
  }

  /** Seals what is gathered. */
  flush(): void {
    if (!this.pending) return;
    const { seconds, nanos } = this.clockOffset;
    const batch: SealedBatch = {
      firstItem: this.#firstItem,
      count: this.#count,
      records: this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks, this.#bytes),
      skipped: this.#skipped.take(),
      kernelLosses: [...this.#lossesToTell].map((probe) => ({ probe, count: this.#kernelLosses.get(probe) ?? 0, reason: 'ring_full' })),
      clockOffset: { seconds, nanos },
    };
    this.#firstItem += this.#count;
    this.#count = 0;
    this.#bytes = 0;
    this.#chunks = [];
    this.#lossesToTell.clear();
    this.#seal(batch);
  }

  /** The reader has checked lengths: a chunk is a whole number of records. */
  #scan(chunk: Buffer): { records: number; unknown: readonly number[] } {
    let records = 0;
    const unknown: number[] = [];
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length >>> 2);
    for (let at = 0; at < chunk.length; at += chunk[at + lenAt] * lenUnit) {
      records++;
      const net = (at + netAt) >>> 2;
      // 0: the kernel itself could not tell, and nobody else can.
      if ((words[net] | words[net + 1]) !== 0 && this.#known.get(words[net], words[net + 1]) < 0)
        addUnknown(unknown, words[net], words[net + 1], 1);
      if (words[net] === this.#hostLo && words[net + 1] === this.#hostHi && (chunk[at + flagsAt] & recordFlags.CGROUP) !== 0) {
        const cgroup = (at + cgroupAt) >>> 2;
        if (this.#knownCgroups.get(words[cgroup], words[cgroup + 1]) < 0) addUnknown(unknown, words[cgroup], words[cgroup + 1], -1);
      }
    }
    return { records, unknown };
  }

  /** Whether a record tells a place that has no name yet. */
  #seePlaces(chunk: Buffer, places: WatchedPlaces['places']): boolean {
    let unnamed = false;
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length >>> 2);
    for (let at = 0; at < chunk.length; at += chunk[at + lenAt] * lenUnit) {
      const siteAt = chunk[at + probeAt + 1] === 0 ? places.siteAt[chunk[at + probeAt]] : 0;
      if (siteAt === 0) continue;
      const stack = (chunk[at + flagsAt] & recordFlags.STACK) === 0 ? -1 : words[(at + stackAt) >>> 2] | 0;
      if (!places.see(words[(at + siteAt) >>> 2], stack)) unnamed = true;
    }
    return unnamed;
  }
}

/** Neighbouring records are mostly of the same; beyond some there is a look in any case. */
function addUnknown(unknown: number[], lo: number, hi: number, sign: 1 | -1): void {
  const key = sign * (lo + hi * 2 ** 32);
  if (unknown.length < maxUnknownKeys && !unknown.includes(key)) unknown.push(key);
}

function indexOf(keys: Iterable<number>): U64Index {
  const index = new U64Index();
  for (const key of keys) index.set(key >>> 0, Math.floor(key / 2 ** 32), 1);
  return index;
}
