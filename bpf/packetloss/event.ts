import { probes, recordFlags, recordOffsets } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import type { EventDescription, EventNames, EventText, EventValue } from '../event.ts';
import { packetName } from './packet-name.ts';
import { dropReasons, reasonName } from './reasons.ts';

/** enum tail_word of packetloss.bpf.c */
const x = { etherType: 0, packetType: 1, tcpFlags: 2, fragmentBytes: 3, segments: 4, device: 5 } as const;
const sides = { none: 0, in: 1, out: 2 } as const;
const deviceAt = recordOffsets.x + x.device * 8;
const deviceBytes = 16;
/** include/uapi/linux/if_packet.h */
const packetTypes = ['host', 'broadcast', 'multicast', 'otherhost', 'outgoing', 'loopback'];
/** From the lowest bit on (RFC 9293 3.1). */
const tcpFlagNames = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
const etherTypes = new Map([
  [0x0806, 'arp'],
  [0x8035, 'rarp'],
  [0x8100, 'vlan'],
  [0x8847, 'mpls'],
  [0x88a8, 'vlan'],
  [0x88cc, 'lldp'],
]);

const values: readonly EventValue[] = [
  {
    name: 'segments',
    description: 'TCP segments in the packet; absent for one.',
    read: (record) => (record.x(x.segments) > 1 ? record.x(x.segments) : -1),
  },
  { name: 'length_bytes', description: 'Length of the packet from its network header on.', read: (record) => record.v2 },
  { name: 'fragment_offset_bytes', description: 'Where a later fragment begins.', read: (record) => record.x(x.fragmentBytes) || -1 },
];

const texts: readonly EventText[] = [
  { name: 'site', read: siteOf },
  { name: 'interface', read: deviceOf },
  { name: 'packet_type', read: (record) => packetTypes[record.x(x.packetType)] },
  { name: 'tcp_flags', read: tcpFlagsOf },
  { name: 'stack', read: (record, names) => (record.flags & recordFlags.STACK ? names.stack(record.stack) : undefined) },
];

/** packetloss's records as events. */
export const packetlossEvent: EventDescription = {
  type: 'packetloss',
  probe: probes.PACKETLOSS,
  category: ['network'],
  variants: new Map([[1, { action: 'packet-dropped', types: ['connection', 'error'], severity: 1 }]]),
  reason: reasonOf,
  message: (record, names) => `${names.local} dropped ${packetOf(record)}${pathOf(record, names)}: ${whyOf(record, names)}`,
  networkType: networkTypeOf,
  values,
  texts: { group: 'drop', list: texts },
  suppressed: (record) => record.v0,
};

/** The function that drops; where its name is not known, its place. */
function siteOf(record: RecordReader, names: EventNames): string {
  return names.symbol(record.v1) ?? `_stext+0x${record.v1.toString(16)}`;
}

/** A kernel without reasons tells 0, and has no such enumeration. */
function reasonOf(record: RecordReader, names: EventNames): string | undefined {
  if (record.code === 0 && names.enumName(dropReasons, 0) === undefined) return undefined;
  return reasonName(record.code, (enumeration, value) => names.enumName(enumeration, value));
}

function whyOf(record: RecordReader, names: EventNames): string {
  const reason = reasonOf(record, names);
  return reason === undefined ? `in ${siteOf(record, names)}` : `${reason} in ${siteOf(record, names)}`;
}

function packetOf(record: RecordReader): string {
  return packetName(record.family, record.proto, record.x(x.tcpFlags), record.x(x.fragmentBytes) > 0, networkTypeOf(record));
}

function pathOf(record: RecordReader, names: EventNames): string {
  const device = deviceOf(record);
  if (record.family === 0) return device === undefined ? '' : ` on ${device}`;
  const ports = hasPorts(record);
  switch (record.side) {
    case sides.in:
      return ` from ${end(names.far, ports, record.dport)}${ports ? ` to port ${record.sport}` : ''}`;
    case sides.out:
      return ` to ${end(names.far, ports, record.dport)}`;
    default:
      return ` on its way from ${end(names.origin, ports, record.sport)} to ${end(names.far, ports, record.dport)}`;
  }
}

function hasPorts(record: RecordReader): boolean {
  return record.sport !== 0 && record.dport !== 0 && record.proto !== 1 && record.proto !== 58;
}

function end(name: string, ports: boolean, port: number): string {
  if (!ports) return name;
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`;
}

function networkTypeOf(record: RecordReader): string | undefined {
  const etherType = record.x(x.etherType);
  return etherType === 0 ? undefined : (etherTypes.get(etherType) ?? `0x${etherType.toString(16).padStart(4, '0')}`);
}

function deviceOf(record: RecordReader): string | undefined {
  const start = record.at + deviceAt;
  let length = 0;
  while (length < deviceBytes && record.bytes[start + length] !== 0) length++;
  return length === 0 ? undefined : Buffer.from(record.bytes.subarray(start, start + length)).toString();
}

function tcpFlagsOf(record: RecordReader): readonly string[] | undefined {
  const flags = record.x(x.tcpFlags);
  return flags === 0 ? undefined : tcpFlagNames.filter((_, bit) => flags & (1 << bit));
}
