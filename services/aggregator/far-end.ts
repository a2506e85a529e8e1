import type { RecordReader } from '../../schema/record.ts';
import { wordsOf } from './address-index.ts';
import type { NodeIdentity } from './identity.ts';
import { isMapped } from './line-buffer.ts';
import type { FoundBy, LocalEnd } from './local-end.ts';
import type { Netns } from './netns.ts';
import type { Pod } from './pod.ts';

/** The far end of a connection behind a translated address. */
export interface Translated {
  /** 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Who is at the far end of a record, at the record's own time. One instance is reused. */
export class FarEnd {
  netns: Netns | undefined;
  pod: Pod | undefined;
  foundBy: FoundBy = 'external';
  translated: Translated | undefined;
  /** Boot ns until which something better may be told; 0: that is who it is. */
  waitUntilNs = 0;

  find(identity: NodeIdentity, record: RecordReader, local: LocalEnd, translated: Translated | undefined): void {
    const { bytes, saddrAt, daddrAt } = record;
    this.translated = translated;
    this.netns = undefined;
    this.pod = undefined;
    this.waitUntilNs = 0;
    if (record.family === 0) {
      this.foundBy = 'unknown';
      return;
    }
    const address = translated === undefined ? bytes : translated.address;
    const at = translated === undefined ? daddrAt : 0;
    if (isLoopback(address, at) || sameAddress(bytes, saddrAt, address, at)) this.#same(local);
    else if (isLinkLocal(address, at)) this.foundBy = 'unknown';
    else if (translated === undefined)
      this.#holder(identity, local, record.daddr0, record.daddr1, record.daddr2, record.daddr3, record.tsNs);
    else this.#holder(identity, local, ...wordsOf(translated.address), record.tsNs);
    if (translated !== undefined && (this.netns !== undefined || this.pod !== undefined)) this.foundBy = 'nat';
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

/** 127.0.0.0/8 and ::1. */
function isLoopback(bytes: Uint8Array, at: number): boolean {
  if (isMapped(bytes, at)) return bytes[at + 12] === 127;
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 15] === 1;
}

/** 169.254.0.0/16 and fe80::/10: somebody on the same link, as a cloud's metadata service or a gateway; the address alone does not say who. */
function isLinkLocal(bytes: Uint8Array, at: number): boolean {
  if (isMapped(bytes, at)) return bytes[at + 12] === 169 && bytes[at + 13] === 254;
  return bytes[at] === 0xfe && (bytes[at + 1] & 0xc0) === 0x80;
}

function sameAddress(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < 16; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
