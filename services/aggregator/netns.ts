import type { NetworkNamespace } from '../../proto/collect.ts';
import { addressHex, bounded } from './bounded-name.ts';

/** A network namespace as events name it. Plain data: checkpoints hold it. */
export interface Netns {
  readonly cookie: number;
  readonly inode: number;
  readonly names: readonly string[];
  readonly processes: readonly { readonly pid: number; readonly comm: string }[];
  readonly addresses: readonly AddressHeld[];
  /** The look that found it. */
  readonly fromBootNs: number;
  /** The look that no longer found it; Infinity while it lives. */
  readonly toBootNs: number;
  readonly host: boolean;
}

/** An address, and the outer bounds of the time in which a namespace held it. */
export interface AddressHeld {
  /** 16 bytes, hex. */
  readonly address: string;
  readonly fromBootNs: number;
  /** Infinity while it is held. */
  readonly toBootNs: number;
}

/** A look at the node may be this late, and a namespace may have changed this long before a look says so. */
export const lookSlackNs = 2e9;
/** Of one namespace: names and processes that are kept. */
const maxNames = 16;
/** Of one namespace: addresses that are kept, as of one with thousands of virtual ones. */
const maxAddresses = 131_072;

/** Who it is: a cookie alone where the kernel has cookies; inodes go to the next namespace, so the start counts, too. */
export function keyOfNetns({ cookie, inode, fromBootNs }: Pick<Netns, 'cookie' | 'inode' | 'fromBootNs'>): string {
  return `${cookie}/${inode}/${fromBootNs}`;
}

/** Whether its kernel has no cookies: it is known by its inode then. */
export function isByInode({ cookie, inode }: Netns): boolean {
  return cookie === inode;
}

export function netnsOf(message: NetworkNamespace): Netns {
  const fromBootNs = message.fromBootNs ?? 0;
  const toBootNs = endOf(message.toBootNs);
  return {
    cookie: message.cookie ?? 0,
    inode: message.inode ?? 0,
    names: (message.names ?? []).slice(0, maxNames).map((name) => bounded(name)),
    processes: (message.processes ?? []).slice(0, maxNames).map((p) => ({ pid: p.pid ?? 0, comm: bounded(p.comm ?? '') })),
    addresses: addressesOf(message, fromBootNs, toBootNs),
    fromBootNs,
    toBootNs,
    host: message.host ?? false,
  };
}

/** Collectors that tell no intervals tell addresses of the whole life, and looks that may be late. */
function addressesOf(message: NetworkNamespace, fromBootNs: number, toBootNs: number): AddressHeld[] {
  const intervals = message.addressIntervals ?? [];
  const held =
    intervals.length > 0
      ? intervals.map((one) => ({ bytes: one.address, fromBootNs: one.fromBootNs ?? 0, toBootNs: Math.min(endOf(one.toBootNs), toBootNs) }))
      : (message.addresses ?? []).map((bytes) => ({ bytes, fromBootNs: fromBootNs - lookSlackNs, toBootNs: toBootNs + lookSlackNs }));
  return held.slice(0, maxAddresses).flatMap(({ bytes, ...interval }) => {
    const address = addressHex(bytes ?? new Uint8Array(0));
    return address === undefined ? [] : [{ address, ...interval }];
  });
}

/** The same namespace, ended at a time unless it had ended before. */
export function endNetns(netns: Netns, bootNs: number): Netns {
  const addresses = netns.addresses.map((held) => ({ ...held, toBootNs: Math.min(held.toBootNs, bootNs) }));
  return { ...netns, addresses, toBootNs: Math.min(netns.toBootNs, bootNs) };
}

/** What people call a namespace: its name, the process that lives in it, the node, or its cookie. */
export function labelOfNetns(netns: Netns, node: string): string {
  if (netns.host) return node;
  const process = netns.processes[0];
  return netns.names[0] ?? (process === undefined ? `netns ${netns.cookie}` : `${process.comm}[${process.pid}]`);
}

/** An end of the wire, where 0 is none, as a bound. */
export function endOf(toBootNs: number | null | undefined): number {
  return toBootNs === undefined || toBootNs === null || toBootNs === 0 ? Infinity : toBootNs;
}
