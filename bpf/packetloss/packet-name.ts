const af_inet6 = 10;
/** IPPROTO_ of what has a name for people. */
const protocols = new Map([
  [1, 'ICMP'],
  [2, 'IGMP'],
  [4, 'IPIP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [47, 'GRE'],
  [50, 'ESP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]);
const tcp = 6;
const [fin, syn, rst, ack] = [0x01, 0x02, 0x04, 0x10];

/**
 * What to call a packet: "a TCP SYN", "an ICMP packet", "a fragment of a UDP packet".
 * @param family 0 without an IP header
 * @param tcpFlags 0 where they are not known
 * @param networkType what it is without an IP header: arp
 */
export function packetName(family: number, proto: number, tcpFlags: number, fragment: boolean, networkType: string | undefined): string {
  if (family === 0)
    return networkType === undefined
      ? 'a packet'
      : withArticle(`${networkType.startsWith('0x') ? `${networkType} ` : `${networkType.toUpperCase()} `}packet`);
  const protocol = protocols.get(proto);
  if (protocol === undefined) return `${family === af_inet6 ? 'an IPv6' : 'an IPv4'} packet of protocol ${proto}`;
  const name = withArticle(`${protocol} ${proto === tcp ? segmentName(tcpFlags) : 'packet'}`);
  return fragment ? `a fragment of ${name}` : name;
}

function segmentName(flags: number): string {
  if (flags & syn) return flags & ack ? 'SYN-ACK' : 'SYN';
  if (flags & rst) return 'RST';
  return flags & fin ? 'FIN' : 'packet';
}

/** Names that are said with a vowel at their start. */
function withArticle(name: string): string {
  return /^(?:[AEIO]|SCTP|RARP|MPLS|LLDP)/.test(name) ? `an ${name}` : `a ${name}`;
}
