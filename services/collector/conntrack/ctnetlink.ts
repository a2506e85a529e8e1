/** NETLINK_NETFILTER (linux/netlink.h). */
export const netlinkNetfilter = 12;

/** NFNL_SUBSYS_CTNETLINK, in the upper byte of a message's type; below it IPCTNL_MSG_CT_NEW, _GET, _GET_STATS (nfnetlink_conntrack.h). */
const subsystem = 1 << 8;
const ctNew = subsystem;
const ctGet = subsystem | 1;
const ctGetStats = subsystem | 5;
/** NLM_F_REQUEST | NLM_F_ACK: ctnetlink marks single answers as parts of many, so that only the acknowledgement tells the end. */
const nlmRequestAck = 5;
const nested = 0x8000;
const typeMask = 0x3fff;
const headerBytes = 16;
/** nlmsghdr and nfgenmsg */
const attributesAt = headerBytes + 4;
const tupleOriginal = 1;
const tupleReply = 2;
const tupleIp = 1;
const tupleProto = 2;
const statsEntries = 1;
const afInet = 2;
const afInet6 = 10;
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/** One direction of a connection. Addresses of 16 bytes, IPv4 as ::ffff:a.b.c.d. */
export interface Tuple {
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A tracked connection: as its packets come, and as answers come. Without translation the second mirrors the first. */
export interface TrackedConnection {
  readonly original: Tuple;
  readonly reply: Tuple;
}

/** Asks for the connection that has this tuple in either direction (ctnetlink_get_conntrack). `proto`: IPPROTO_. */
export function connectionRequest(proto: number, { source, destination, sourcePort, destinationPort }: Tuple): Buffer {
  const ipv4 = isMapped(source) && isMapped(destination);
  const [from, to] = ipv4 ? [source.subarray(12), destination.subarray(12)] : [source, destination];
  const ip = attribute(tupleIp | nested, Buffer.concat([attribute(ipv4 ? 1 : 3, from), attribute(ipv4 ? 2 : 4, to)]));
  const ports = [attribute(1, Buffer.of(proto)), attribute(2, bigEndian16(sourcePort)), attribute(3, bigEndian16(destinationPort))];
  const tuple = attribute(tupleOriginal | nested, Buffer.concat([ip, attribute(tupleProto | nested, Buffer.concat(ports))]));
  return message(ctGet, ipv4 ? afInet : afInet6, tuple);
}

/** Asks how many connections a namespace tracks. */
export const statsRequest = message(ctGetStats, 0, Buffer.alloc(0));

/** Connections in the answer to `statsRequest`; 0 when it says none. */
export function parseEntries(answer: Buffer): number {
  const entries = bodyOf(answer, ctGetStats).get(statsEntries);
  return entries?.length === 4 ? entries.readUInt32BE(0) : 0;
}

/** The answer to `connectionRequest`; undefined when it is none, or of another form. */
export function parseConnection(answer: Buffer): TrackedConnection | undefined {
  const attributes = bodyOf(answer, ctNew);
  const original = tupleOf(attributes.get(tupleOriginal));
  const reply = tupleOf(attributes.get(tupleReply));
  return original && reply && { original, reply };
}

function message(type: number, family: number, attributes: Buffer): Buffer {
  const header = Buffer.alloc(attributesAt);
  header.writeUInt32LE(attributesAt + attributes.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(nlmRequestAck, 6);
  header.writeUInt8(family, headerBytes);
  return Buffer.concat([header, attributes]);
}

function attribute(type: number, value: Buffer): Buffer {
  const length = 4 + value.length;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

function bodyOf(answer: Buffer, type: number): Map<number, Buffer> {
  if (answer.length < attributesAt || answer.readUInt16LE(4) !== type) return new Map();
  return attributesOf(answer.subarray(attributesAt, answer.readUInt32LE(0)));
}

function attributesOf(bytes: Buffer | undefined): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; bytes !== undefined && at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & typeMask, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

function tupleOf(bytes: Buffer | undefined): Tuple | undefined {
  const parts = attributesOf(bytes);
  const ip = attributesOf(parts.get(tupleIp));
  const proto = attributesOf(parts.get(tupleProto));
  const source = addressOf(ip.get(1) ?? ip.get(3));
  const destination = addressOf(ip.get(2) ?? ip.get(4));
  const [from, to] = [proto.get(2), proto.get(3)];
  if (source === undefined || destination === undefined || from?.length !== 2 || to?.length !== 2) return undefined;
  return { source, destination, sourcePort: from.readUInt16BE(0), destinationPort: to.readUInt16BE(0) };
}

function addressOf(bytes: Buffer | undefined): Buffer | undefined {
  if (bytes?.length === 4) return Buffer.concat([mappedPrefix, bytes]);
  return bytes?.length === 16 ? bytes : undefined;
}

function isMapped(address: Buffer): boolean {
  return address.compare(mappedPrefix, 0, 12, 0, 12) === 0;
}

function bigEndian16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
