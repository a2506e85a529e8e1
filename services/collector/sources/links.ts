import type { NetnsHandle } from '../../../native/addon.ts';

const netlinkRoute = 0;
const rtmGetlink = 18;
const rtmNewlink = 16;
const dumpFlags = 0x301;
const headerBytes = 16;
const linkBytes = 16;
const iflaIfname = 3;
const iflaExtMask = 29;
/** Statistics are left out of the answer (RTEXT_FILTER_SKIP_STATS). */
const skipStats = 1 << 3;

/** RTM_GETLINK for all devices: struct nlmsghdr, struct ifinfomsg, IFLA_EXT_MASK. */
const request = linkRequest();

/** Names of the devices of a namespace, with their ifindex, which no other device of the namespace ever has. */
export function readLinks(handle: Pick<NetnsHandle, 'dump'>): Map<string, number> {
  return parseLinks(handle.dump(netlinkRoute, request));
}

/** The answer to RTM_GETLINK (rtnl_fill_ifinfo): name → ifindex. */
export function parseLinks(bytes: Buffer): Map<string, number> {
  const links = new Map<string, number>();
  for (let at = 0; at + headerBytes + linkBytes <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < headerBytes + linkBytes || at + length > bytes.length) break;
    if (bytes.readUInt16LE(at + 4) === rtmNewlink) {
      const name = nameOf(bytes, at + headerBytes + linkBytes, at + length);
      if (name !== undefined) links.set(name, bytes.readInt32LE(at + headerBytes + 4));
    }
    at += (length + 3) & ~3;
  }
  return links;
}

function nameOf(bytes: Buffer, from: number, to: number): string | undefined {
  for (let at = from; at + 4 <= to; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > to) return undefined;
    // The name ends with a zero byte.
    if (bytes.readUInt16LE(at + 2) === iflaIfname) return bytes.toString('utf8', at + 4, at + length - 1);
    at += (length + 3) & ~3;
  }
  return undefined;
}

function linkRequest(): Buffer {
  const bytes = Buffer.alloc(headerBytes + linkBytes + 8);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(rtmGetlink, 4);
  bytes.writeUInt16LE(dumpFlags, 6);
  bytes.writeUInt16LE(8, headerBytes + linkBytes);
  bytes.writeUInt16LE(iflaExtMask, headerBytes + linkBytes + 2);
  bytes.writeUInt32LE(skipStats, headerBytes + linkBytes + 4);
  return bytes;
}
