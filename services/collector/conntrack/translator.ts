import type { RecordBatch, Translation } from '../../../proto/collect.ts';
import { recordOffsets } from '../../../schema/record.gen.ts';
import { RecordReader } from '../../../schema/record.ts';
import type { HeldAddresses } from '../identity/held-addresses.ts';
import type { Tuple } from './ctnetlink.ts';
import { type End, translatedFarEnd } from './far-end.ts';
import type { TrackedNetns } from './tracked-netns.ts';

/** What the look-ups came to since the start. */
export interface TranslatorMetrics {
  /** Questions to the kernel. */
  lookups: number;
  /** Records that were not looked up: too many a second, or the batch took too long. */
  lookupsSkipped: number;
}

export interface TranslatorOptions {
  /** Look-ups per second. */
  readonly rate: number;
  nowMs(): number;
}

interface Answer {
  /** What was asked, to tell apart what hashes alike. */
  readonly key: Uint32Array;
  readonly end: End | undefined;
  readonly untilMs: number;
}

const tcp = 6;
const udp = 17;
const maxAnswers = 4096;
/** The event loop waits for a batch's look-ups, of 0.1 ms each; a few are made however long threads wait for a CPU. */
const maxBatchMs = 10;
const leastPerBatch = 8;
/** The tuple of a socket stays what it is; a tuple alone may be the next connection's. */
const socketAnswerMs = 30_000;
const tupleAnswerMs = 1_000;

/** Asks connection tracking for the far ends behind translated addresses, for the records of a batch that have one. */
export class Translator {
  readonly #netns: TrackedNetns;
  readonly #options: TranslatorOptions;
  readonly #metrics: TranslatorMetrics;
  readonly #reader = new RecordReader();
  readonly #answers = new Map<number, Answer>();
  /** Words that the answer depends on: both addresses, ports, protocol, namespace, socket. */
  readonly #key = new Uint32Array(14);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** When the batch's look-ups end: at this time, but not before so many were made. */
  #endMs = 0;
  #endLookups = 0;
  #tokens: number;
  #refilledMs: number;

  constructor(netns: TrackedNetns, options: TranslatorOptions, metrics: TranslatorMetrics) {
    this.#netns = netns;
    this.#options = options;
    this.#metrics = metrics;
    this.#tokens = options.rate;
    this.#refilledMs = options.nowMs();
  }

  /**
   * @param node cookie of the node's own namespace, which most translation happens in
   * @param held addresses that are not translated: of namespaces of this node
   */
  translations({ records, count }: RecordBatch, node: number | undefined, held: Pick<HeldAddresses, 'has'>): Translation[] {
    const found: Translation[] = [];
    const reader = this.#reader;
    this.#endMs = this.#options.nowMs() + maxBatchMs;
    this.#endLookups = this.#metrics.lookups + leastPerBatch;
    this.#refill();
    reader.reset(records ?? new Uint8Array(0));
    for (let index = 0; index < (count ?? 0) && reader.next(); index++) {
      if (!this.#hasFarEnd() || held.has(reader.daddr0, reader.daddr1, reader.daddr2, reader.daddr3)) continue;
      const nodeTracks = node !== undefined && this.#netns.tracks(node, true);
      const ownTracks = reader.net !== node && this.#netns.tracks(reader.net, false);
      if (!nodeTracks && !ownTracks) continue;
      const end = this.#find(ownTracks ? reader.net : undefined, nodeTracks ? node : undefined);
      if (end !== undefined) found.push({ index, address: end.address, port: end.port });
    }
    return found;
  }

  /** Why namespaces cannot be asked; undefined while they can. */
  get problem(): string | undefined {
    return this.#netns.problem;
  }

  /** Lets go of namespaces that no record came from lately. */
  closeIdle(): void {
    this.#netns.closeIdle();
  }

  close(): void {
    this.#netns.close();
  }

  #refill(): void {
    const nowMs = this.#options.nowMs();
    const { rate } = this.#options;
    this.#tokens = Math.min(rate, this.#tokens + ((nowMs - this.#refilledMs) / 1000) * rate);
    this.#refilledMs = nowMs;
  }

  #hasFarEnd(): boolean {
    const { bytes, proto, side, sport, dport, daddrAt } = this.#reader;
    if ((proto !== tcp && proto !== udp) || side === 0 || sport === 0 || dport === 0) return false;
    // Loopback: what is behind it is in the same namespace.
    const mapped = bytes[daddrAt + 10] === 0xff && bytes[daddrAt + 11] === 0xff;
    return !(mapped && bytes[daddrAt + 12] === 127);
  }

  #find(own: number | undefined, node: number | undefined): End | undefined {
    const hash = this.#hash();
    const nowMs = this.#options.nowMs();
    const known = this.#answers.get(hash);
    if (known !== undefined && nowMs < known.untilMs && known.key.every((word, at) => word === this.#key[at])) return known.end;
    if (this.#tokens < 1 || (nowMs >= this.#endMs && this.#metrics.lookups >= this.#endLookups)) {
      this.#metrics.lookupsSkipped++;
      return undefined;
    }
    const end = this.#ask(own, node);
    this.#answers.delete(hash);
    if (this.#answers.size >= maxAnswers) for (const oldest of this.#answers.keys()) if (this.#answers.delete(oldest)) break;
    const lifeMs = this.#reader.sock !== 0 && end !== undefined ? socketAnswerMs : tupleAnswerMs;
    this.#answers.set(hash, { key: this.#key.slice(), end, untilMs: nowMs + lifeMs });
    return end;
  }

  /** A namespace's own translation comes first: what the node sees is behind it. */
  #ask(own: number | undefined, node: number | undefined): End | undefined {
    const { bytes, saddrAt, daddrAt, sport, dport, proto } = this.#reader;
    const tuple: Tuple = {
      source: Buffer.from(bytes.slice(saddrAt, saddrAt + 16)),
      destination: Buffer.from(bytes.slice(daddrAt, daddrAt + 16)),
      sourcePort: sport,
      destinationPort: dport,
    };
    for (const cookie of [own, node]) {
      if (cookie === undefined) continue;
      this.#tokens--;
      this.#metrics.lookups++;
      const connection = this.#netns.connection(cookie, proto, tuple);
      const end = connection && translatedFarEnd(tuple, connection);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  /** 53 bits of the current record's key. */
  #hash(): number {
    const { bytes, at } = this.#reader;
    if (this.#view.buffer !== bytes.buffer) this.#view = new DataView(bytes.buffer);
    const view = this.#view;
    const key = this.#key;
    for (let word = 0; word < 9; word++) key[word] = view.getUint32(at + recordOffsets.saddr + word * 4, true);
    key[9] = bytes[at + recordOffsets.proto];
    for (let word = 0; word < 2; word++) {
      key[10 + word] = view.getUint32(at + recordOffsets.net + word * 4, true);
      key[12 + word] = view.getUint32(at + recordOffsets.sock + word * 4, true);
    }
    let low = 0x811c9dc5;
    let high = 0x9e3779b1;
    for (const word of key) {
      low = Math.imul(low ^ word, 0x01000193) ^ (low >>> 15);
      high = Math.imul(high ^ word, 0x85ebca6b) ^ (high >>> 13);
    }
    return (low >>> 0) + (high & 0x1fffff) * 2 ** 32;
  }
}
