/** The fixed pieces of an event line, encoded once: copying bytes is three times cheaper than writing a string. */
export const fragments = {
  timestamp: Buffer.from('{"@timestamp":"'),
  message: Buffer.from('","message":'),
  reason: Buffer.from(',"reason":'),
  id: Buffer.from(',"id":"'),
  severity: Buffer.from('","severity":'),
  sourceIp: Buffer.from('},"source":{"ip":"'),
  port: Buffer.from('","port":'),
  destinationIp: Buffer.from('},"destination":{"ip":"'),
  natIp: Buffer.from(',"nat":{"ip":"'),
  ipv4: Buffer.from('},"network":{"type":"ipv4"'),
  ipv6: Buffer.from('},"network":{"type":"ipv6"'),
  network: Buffer.from(',"network":{"type":'),
  process: Buffer.from(',"process":{"pid":'),
  processName: Buffer.from(',"name":'),
  values: Buffer.from(',"values":{'),
  client: Buffer.from(',"role":"client"'),
  server: Buffer.from(',"role":"server"'),
  socket: Buffer.from(',"socket":{"cookie":'),
  v4mapped: Buffer.from(',"v4mapped":true'),
  cgroup: Buffer.from(',"cgroup":{"id":'),
  netns: Buffer.from(',"netns":{'),
  netnsCookie: Buffer.from('"cookie":'),
  netnsInode: Buffer.from('"inode":'),
  peer: Buffer.from('},"peer":{"netns":{'),
  end: Buffer.from('}}\n'),
} as const;

const directions = ['', 'ingress', 'egress'];
/** By IP protocol. */
export const transports: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'ipv6-icmp', 132: 'sctp' };
/** include/net/tcp_states.h */
const tcpStates = [
  '',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
];

/** By protocol and side: transport and direction. */
export const transportFragments: readonly (readonly Buffer[])[] = Array.from({ length: 256 }, (_, proto) =>
  directions.map((direction) => {
    const transport = transports[proto];
    const parts = [transport && `,"transport":"${transport}"`, direction && `,"direction":"${direction}"`];
    return Buffer.from(`${parts.filter(Boolean).join('')}}`);
  }),
);

/** By state of the socket; undefined where there is none. */
export const tcpStateFragments: readonly (Buffer | undefined)[] = tcpStates.map((state) =>
  state === '' ? undefined : Buffer.from(`,"tcp":{"state":"${state}"}`),
);

/** The end of the document up to the number of suppressed events, by how both ends were found. */
export function identityFragment(source: string, destination: string): Buffer {
  const key = `${source}/${destination}`;
  let fragment = identities.get(key);
  if (fragment === undefined) {
    fragment = Buffer.from(`},"identity":{"source":"${source}","destination":"${destination}"},"suppressed":`);
    identities.set(key, fragment);
  }
  return fragment;
}

const identities = new Map<string, Buffer>();
