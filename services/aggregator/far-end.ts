import type { RecordReader } from '../../schema/record.ts';
import { wordsOf } from './address-index.ts';
import type { NodeIdentity } from './identity.ts';
import type { FoundBy, LocalEnd } from './local-end.ts';
import type { Netns } from './netns.ts';
import type { Pod } from './pod.ts';

/** The far end of a connection behind a translated address. */
export interface Translated {
  /** 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Bytes 8 to 11 of an IPv4 address in IPv6. */
const mappedWord = 0xffff_0000 | 0;

/** Who is at the far end of a record, at the record's own time. One instance is reused. */
export class FarEnd {
  netns: Netns | undefined;
  pod: Pod | undefined;
  foundBy: FoundBy = 'external';
  translated: Translated | undefined;
  /** Boot ns until which something better may be told; 0: that is who it is. */
  waitUntilNs = 0;

  find(identity: NodeIdentity, record: RecordReader, local: LocalEnd, translated: Translated | undefined): void {
    this.translated = translated;
    this.netns = undefined;
    this.pod = undefined;
    this.waitUntilNs = 0;
    if (record.family === 0) {
      this.foundBy = 'unknown';
      return;
    }
    if (translated === undefined) this.#find(identity, record, local, record.daddr0, record.daddr1, record.daddr2, record.daddr3);
    else this.#find(identity, record, local, ...wordsOf(translated.address));
    if (translated !== undefined && (this.netns !== undefined || this.pod !== undefined)) this.foundBy = 'nat';
  }

  #find(identity: NodeIdentity, record: RecordReader, local: LocalEnd, w0: number, w1: number, w2: number, w3: number): void {
    const isOwn = record.saddr3 === w3 && record.saddr2 === w2 && record.saddr1 === w1 && record.saddr0 === w0;
    if (isOwn || isLoopback(w0, w1, w2, w3)) this.#same(local);
    else if (isLinkLocal(w0, w1, w2, w3)) this.foundBy = 'unknown';
    else this.#holder(identity, local, w0, w1, w2, w3, record.tsNs);
  }

  /** In the node's own namespace the far end may be anybody there: the node. */
  #same(local: LocalEnd): void {
    this.foundBy = 'same';
    this.netns = local.netns;
    this.pod = local.pod?.hostNetwork ? undefined : local.pod;
  }

  #holder(identity: NodeIdentity, local: LocalEnd, w0: number, w1: number, w2: number, w3: number, bootNs: number): void {
    const { netnsId, pod, ambiguous } = identity.holder(w0, w1, w2, w3, bootNs);
    if (ambiguous) this.foundBy = 'ambiguous';
    else if (pod !== undefined) {
      this.pod = pod;
      this.foundBy = pod === local.pod ? 'same' : 'ip';
    } else if (netnsId < 0) this.foundBy = 'external';
    else if (netnsId === local.netnsId) this.#same(local);
    else {
      const netns = identity.get(netnsId) as Netns;
      this.netns = netns;
      this.pod = identity.podOf(netnsId, bootNs);
      this.foundBy = netns.host ? 'node' : 'ip';
      if (this.pod === undefined) this.waitUntilNs = identity.podMayComeUntil(netns, bootNs);
    }
  }
}

/** ::ffff:0:0/96, as little-endian words. */
function isV4(w0: number, w1: number, w2: number): boolean {
  return w0 === 0 && w1 === 0 && w2 === mappedWord;
}

/** 127.0.0.0/8 and ::1. */
function isLoopback(w0: number, w1: number, w2: number, w3: number): boolean {
  if (isV4(w0, w1, w2)) return (w3 & 0xff) === 127;
  return w0 === 0 && w1 === 0 && w2 === 0 && w3 === 0x0100_0000;
}

/** 169.254.0.0/16 and fe80::/10: somebody on the same link, as a cloud's metadata service or a gateway; the address alone does not say who. */
function isLinkLocal(w0: number, w1: number, w2: number, w3: number): boolean {
  if (isV4(w0, w1, w2)) return (w3 & 0xffff) === 0xfea9;
  return (w0 & 0xc0ff) === 0x80fe;
}
