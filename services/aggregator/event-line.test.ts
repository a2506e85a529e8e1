import fc from 'fast-check';
import { expect, test } from 'vitest';
import { probes } from '../../bpf/registry.ts';
import type { Pod } from '../../proto/collect.ts';
import { eventFields } from '../../schema/event.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordFields } from '../../schema/record-writer.ts';
import { maxLineBytes } from './event-line.ts';
import { batchOf, netnsOf, rawOf, reset, TestPartition, tickOf, v4 } from './test-stream.ts';

const allFlags = Object.values(recordFlags).reduce((all, flag) => all | flag, 0) & ~recordFlags.NET_IS_INODE;

const record = fc.record<RecordFields>({
  ts: fc.bigInt({ min: 0n, max: 2n ** 62n }),
  variant: fc.constantFrom(1, 2),
  flags: fc.oneof(fc.constantFrom(0, allFlags), fc.nat({ max: 0xffff })),
  tgid: fc.constantFrom(0, 1, 2 ** 32 - 1),
  cgroup: fc.constantFrom(0, 7, 99, 2n ** 64n - 1n),
  net: fc.constantFrom(1, 4101, 4102, 9999),
  comm: fc.string({ unit: 'binary', maxLength: 16 }),
  saddr: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  daddr: fc.oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.constantFrom(v4(10, 244, 1, 3), v4(127, 0, 0, 1), v4(192, 168, 0, 1)),
  ),
  sport: fc.nat({ max: 65_535 }),
  dport: fc.nat({ max: 65_535 }),
  family: fc.constantFrom(2, 10, 0),
  proto: fc.oneof(fc.constantFrom(6, 17), fc.nat({ max: 255 })),
  state: fc.oneof(fc.nat({ max: 12 }), fc.nat({ max: 255 })),
  side: fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 255 })),
  sock: fc.constantFrom(0, 5, 2n ** 64n - 1n),
  code: fc.constantFrom(0, 3, 77),
  v: fc.tuple(fc.nat()),
});

const webPod = {
  sandboxId: 'a1',
  uid: '0b7f',
  namespace: 'shop',
  name: 'web-0',
  netns: 4101,
  containers: [
    { id: 'c0ffee', name: 'nginx', cgroups: [99] },
    { id: 'a1', cgroups: [7] },
  ],
} satisfies Pod;
const clientPod = { sandboxId: 'b2', uid: '7a1f', namespace: 'shop', name: 'client-0', netns: 4102 } satisfies Pod;

const address = fc.constantFrom(
  v4(10, 244, 1, 3),
  v4(10, 244, 1, 2),
  v4(192, 168, 0, 1),
  v4(203, 0, 113, 9),
  v4(127, 0, 0, 1),
  new Uint8Array(4),
);
const podsAround = fc.subarray([webPod, clientPod]);

/** A record of tcpretrans: its tail is what jitterscope.values is read from. */
const retransmit = record.chain((fields) =>
  fc
    .record({
      code: fc.nat({ max: 7 }),
      v: fc.tuple(fc.nat(), fc.oneof(fc.constant(0), fc.nat()), fc.nat({ max: 0xffff_ffff })),
      tail: fc.array(fc.constantFrom(0n, 1n, 511n, 2n ** 53n - 1n), { minLength: 8, maxLength: 8 }),
    })
    .map(({ code, v, tail }) => ({ ...fields, probe: 2, code, v, tail: new Uint8Array(BigUint64Array.from(tail).buffer) })),
);

/** A record of packetloss: with what only its tail tells, and a stack. */
const drop = record.chain((fields) =>
  fc
    .record({
      v: fc.tuple(fc.nat(), fc.constantFrom(31, 77), fc.nat()),
      stack: fc.constantFrom(7, 8),
      tail: fc.array(fc.constantFrom(0n, 1n, 0x0806n, 18n, 0x3068746576n, 2n ** 64n - 1n), { minLength: 8, maxLength: 8 }),
    })
    .map(({ v, stack, tail }) => {
      const flags = (fields.flags ?? 0) | recordFlags.STACK;
      return { ...fields, flags, probe: 3, variant: 1, v, stack, tail: new Uint8Array(BigUint64Array.from(tail).buffer) };
    }),
);

/** A record of tcplife or tcpaccept: their variants, with what only their tails tell. */
const life = fc
  .constantFrom([4, 1], [4, 2], [4, 3], [5, 1], [5, 2])
  .chain(([probe, variant]) => retransmit.map((fields) => ({ ...fields, probe: probe, variant: variant })));

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 255 }),
  fc.constantFrom('\u0000'.repeat(255), '"\\'.repeat(127), '\ud800'.repeat(255), '\u2028\u2029\u007f\n'),
);

/** Paths of a document in its order, arrays marked. */
function pathsOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return [`${at}[]`];
  if (typeof value !== 'object' || value === null) return [at];
  const entries = Object.entries(value);
  expect(entries.length, `${at} is an empty object`).toBeGreaterThan(0);
  return entries.flatMap(([key, inner]) => pathsOf(inner, at === '' ? key : `${at}.${key}`));
}

const declared = eventFields.map(({ path }) => path);

interface Around {
  netns?: string;
  peer?: string;
  comm?: string;
  reason?: string;
  node?: string;
  /** Pods of the node, as named. */
  pods?: readonly Pod[];
  translated?: Uint8Array | undefined;
}

/** One event of a record, among two known namespaces and the node's own. */
async function lineOf(fields: RecordFields, around: Around = {}) {
  const partition = new TestPartition();
  const { netns = 'web', peer = 'client', comm = 'nginx', reason = 'NO_SOCKET', node = 'node1', pods = [], translated } = around;
  const translations = translated === undefined ? [] : [{ index: 0, address: translated, port: 8080 }];
  const identity = {
    pods: [...pods],
    netns: [
      netnsOf(1, { names: [], host: true, addresses: [v4(192, 168, 0, 1)] }),
      netnsOf(4101, { names: [netns], addresses: [v4(10, 244, 1, 2)] }),
      netnsOf(4102, { names: peer === '' ? [] : [peer], processes: [{ pid: 77, comm }], addresses: [v4(10, 244, 1, 3)] }),
    ],
    symbols: [{ offset: 31, name: 'nf_hook_slow' }],
    stacks: [{ id: 7, frames: ['nf_hook_slow', 'ip_local_deliver'] }],
  };
  const enums = ['sk_rst_reason', 'skb_drop_reason'].map((name) => ({ name, values: [{ value: 3, name: reason }] }));
  await partition.feed(
    rawOf({ seq: 1, keyframe: { nextItem: 0, identity, enums } }, { node }),
    rawOf({ seq: 2, batch: { ...batchOf(0, 1, () => reset(fields)), translations } }, { node }),
    tickOf(1, 3_600_000),
  );
  expect(partition.lines).toHaveLength(1);
  return partition.lines[0];
}

test('a reset is written as design and schema say, byte for byte', async () => {
  const fields = {
    comm: 'web',
    tgid: 7,
    flags: recordFlags.SKB | recordFlags.SERVER | recordFlags.OWNER | recordFlags.CGROUP,
    cgroup: 99,
    sock: 12,
    state: 10,
    v: [3],
  };
  expect(JSON.parse(await lineOf({ ...fields, ts: 7_123_456_789n }))).toEqual({
    '@timestamp': '2026-09-21T14:13:27.123456789Z',
    message: 'web reset a connection from client: no socket listens on port 81',
    log: { level: 'info' },
    ecs: { version: '8.17.0' },
    event: {
      kind: 'event',
      category: ['network'],
      type: ['connection', 'denied'],
      action: 'reset-sent',
      reason: 'NO_SOCKET',
      id: expect.stringMatching(/^[0-9a-f]{16}-0$/),
      severity: 1,
    },
    source: { ip: '10.244.1.2', port: 81 },
    destination: { ip: '10.244.1.3', port: 40_512 },
    network: { type: 'ipv4', transport: 'tcp', direction: 'egress' },
    process: { pid: 7, name: 'web' },
    host: { name: 'node1' },
    orchestrator: { cluster: { name: 'default' } },
    jitterscope: {
      schema: 1,
      type: 'tcpreset',
      probe: 'tcpreset',
      role: 'server',
      tcp: { state: 'LISTEN' },
      socket: { cookie: 12 },
      cgroup: { id: 99 },
      netns: { name: 'web', cookie: 4101, inode: 4_026_536_101 },
      peer: { netns: { name: 'client', cookie: 4102, inode: 4_026_536_102 } },
      identity: { source: 'netns', destination: 'ip' },
      suppressed: 3,
    },
  });
});

test('Pods are at both ends, with the container, behind a translated address, byte for byte', async () => {
  const fields = { flags: recordFlags.SKB | recordFlags.SERVER | recordFlags.CGROUP, cgroup: 99, daddr: [10, 96, 0, 10] };
  const line = await lineOf(fields, { pods: [webPod, clientPod], translated: v4(10, 244, 1, 3) });
  const web = '"kubernetes":{"namespace":"shop","pod":{"name":"web-0","uid":"0b7f"},"node":{"name":"node1"}}';
  const client = '"kubernetes":{"namespace":"shop","pod":{"name":"client-0","uid":"7a1f"},"node":{"name":"node1"}}';
  expect(line).toContain('"message":"shop/web-0 reset a connection from shop/client-0: no socket listens on port 81"');
  expect(line).toContain(
    `"source":{"ip":"10.244.1.2","port":81,${web}},"destination":{"ip":"10.96.0.10","port":40512,"nat":{"ip":"10.244.1.3","port":8080},${client}},"network":`,
  );
  expect(line).toContain(
    `"host":{"name":"node1"},"orchestrator":{"type":"kubernetes","cluster":{"name":"default"}},${web},"container":{"id":"c0ffee","name":"nginx"},"jitterscope":`,
  );
  expect(line).toContain('"netns":{"name":"web","cookie":4101,"inode":4026536101},"peer":{"netns":{"name":"client"');
  expect(line).toContain('"identity":{"source":"cgroup","destination":"nat"}');
});

test('the node itself is an end by its name alone', async () => {
  const line = await lineOf({ net: 1, saddr: [192, 168, 0, 1] }, { pods: [webPod, clientPod] });
  const { source, kubernetes, jitterscope } = JSON.parse(line) as { source: object; kubernetes: object; jitterscope: object };
  expect(source).toEqual({ ip: '192.168.0.1', port: 81, kubernetes: { node: { name: 'node1' } } });
  expect(kubernetes).toEqual({ node: { name: 'node1' } });
  expect(jitterscope).toMatchObject({ identity: { source: 'node', destination: 'ip' } });
});

test('every line is JSON whose fields are declared in schema/event.ts, in that order', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(record, retransmit, drop, life),
      podsAround,
      fc.option(address, { nil: undefined }),
      async (fields, pods, translated) => {
        const line = await lineOf(fields, { pods, translated });
        expect(line.endsWith('}\n')).toBe(true);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        const paths = pathsOf(JSON.parse(line));
        for (const path of paths) seen.add(path);
        expect(paths.filter((path) => !declared.includes(path))).toEqual([]);
        expect(paths).toEqual(declared.filter((path) => paths.includes(path)));
        expect(line).not.toMatch(/:null[,}]/);
      },
    ),
    { numRuns: 400 },
  );
  await lineOf({ net: 9999, flags: recordFlags.NET_IS_INODE });
  const ofEvents = eventFields.filter(({ findingsOnly }) => findingsOnly !== true).map(({ path }) => path);
  expect(ofEvents.filter((path) => !seen.has(path))).toEqual([]);
});

test('a retransmit carries its numbers in jitterscope.values, byte for byte', async () => {
  const words = [3n, 2n, 17n, 9n, 0n, 0n, 1n, 0n];
  const tail = new Uint8Array(BigUint64Array.from(words).buffer);
  const fields = { probe: 2, variant: 1, flags: recordFlags.SOCK, state: 1, sock: 12, code: 1, v: [0, 1234, 10], tail };
  const line = await lineOf(fields);
  expect(line).toContain('"probe":"tcpretrans","values":{"srtt_us":1234,"cwnd_segments":10,"segments":3,"retransmits":2,');
  expect(JSON.parse(line)).toMatchObject({
    message:
      'web retransmitted to client: no ACK within the retransmission timeout (RTO), srtt 1.2 ms, cwnd 10; this host did not let the packet out (errno 1)',
    event: { category: ['network'], type: ['connection', 'info'], action: 'retransmit', reason: 'RTO' },
    jitterscope: {
      type: 'tcpretrans',
      values: { srtt_us: 1234, cwnd_segments: 10, segments: 3, retransmits: 2, total_segments: 17, unacked_segments: 9, errno: 1 },
    },
  });
});

test('a dropped packet tells the function, the stack, and who sent what was only on its way, byte for byte', async () => {
  const words = [0x800n, 0n, 18n, 0n, 1n, 0x306874_6576n, 0n, 0n];
  const tail = new Uint8Array(BigUint64Array.from(words).buffer);
  const drop = { probe: 3, variant: 1, flags: recordFlags.SKB | recordFlags.STACK, code: 3, v: [2, 31, 60], stack: 7, tail };
  const line = await lineOf({ ...drop, side: 1 }, { reason: 'NETFILTER_DROP' });
  expect(line).toContain(
    '"values":{"length_bytes":60},"drop":{"site":"nf_hook_slow","interface":"veth0","packet_type":"host","tcp_flags":["SYN","ACK"],"stack":["nf_hook_slow","ip_local_deliver"]},',
  );
  expect(JSON.parse(line)).toMatchObject({
    message: 'web dropped a TCP SYN-ACK from client:40512 to port 81: NETFILTER_DROP in nf_hook_slow',
    event: { category: ['network'], type: ['connection', 'error'], action: 'packet-dropped', reason: 'NETFILTER_DROP' },
    network: { type: 'ipv4', transport: 'tcp', direction: 'ingress' },
    jitterscope: { type: 'packetloss', suppressed: 2 },
  });
  const sentBy = await lineOf({ ...drop, side: 0, net: 4101, saddr: v4(10, 244, 1, 3), daddr: v4(10, 9, 9, 9) }, { reason: 'PKT_TOO_BIG' });
  expect((JSON.parse(sentBy) as { message: string }).message).toBe(
    'web dropped a TCP SYN-ACK on its way from client:81 to 10.9.9.9:40512: PKT_TOO_BIG in nf_hook_slow',
  );
});

test('a packet without an IP header has no addresses, but a kind', async () => {
  const tail = new Uint8Array(BigUint64Array.from([0x806n, 1n, 0n, 0n, 1n, 0x306874_6576n, 0n, 0n]).buffer);
  const event = JSON.parse(await lineOf({ probe: 3, variant: 1, family: 0, proto: 0, side: 0, code: 3, v: [0, 31, 28], tail })) as object;
  expect(event).toMatchObject({
    message: 'web dropped an ARP packet on veth0: NO_SOCKET in nf_hook_slow',
    network: { type: 'arp' },
    jitterscope: { drop: { site: 'nf_hook_slow', interface: 'veth0', packet_type: 'broadcast' }, identity: { destination: 'unknown' } },
  });
  expect(Object.keys(event)).not.toContain('source');
});

test('every value of every probe is a declared field, with its unit in its name', () => {
  for (const { event } of probes) {
    const paths = (event.values ?? []).map(({ name }) => `jitterscope.values.${name}`);
    expect(paths).toEqual(declared.filter((path) => paths.includes(path)));
    const texts = (event.texts?.list ?? []).map(({ name }) => `jitterscope.${event.texts?.group}.${name}`);
    expect(texts).toEqual(declared.map((path) => path.replace(/\[\]$/, '')).filter((path) => texts.includes(path)));
  }
});

test('names of any bytes leave a line that is JSON, says them as they are, and fits', async () => {
  await fc.assert(
    fc.asyncProperty(nasty, nasty, nasty, nasty, async (netns, peer, reason, node) => {
      fc.pre(Buffer.byteLength(node) <= 253 && node !== '' && netns !== '');
      const line = await lineOf({ comm: '\u0001"\\\u007f', tgid: 1, flags: recordFlags.OWNER, code: 3 }, { netns, peer, reason, node });
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes);
      const event = JSON.parse(line) as { jitterscope: { netns: { name: string } }; process: { name: string } };
      expect(event.process.name).toBe('\u0001"\\\u007f');
      // The wire is UTF-8: halves of a character do not come through it.
      expect(event.jitterscope.netns.name).toBe(Buffer.from(netns).toString());
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['a name of a megabyte', { netns: 'x'.repeat(1_000_000) }],
  ['a peer of a megabyte', { peer: '\u0001'.repeat(1_000_000) }],
  ['a task of a megabyte', { peer: '', comm: '"'.repeat(1_000_000) }],
  ['a reason of a megabyte', { reason: '\\'.repeat(1_000_000) }],
])('%s is cut, not written', async (_, names) => {
  const line = await lineOf({}, names);
  expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes);
  JSON.parse(line);
});

test('the longest line there can be fits', async () => {
  const worst = '\u0001'.repeat(300);
  const line = await lineOf(
    { flags: allFlags, tgid: 2 ** 32 - 1, comm: '\u0001'.repeat(16), cgroup: 99, sock: 2n ** 64n - 1n, code: 3, state: 12 },
    {
      netns: worst,
      peer: worst,
      reason: worst,
      node: '\u0001'.repeat(253),
      pods: [webPod, clientPod].map(({ sandboxId, netns }) => ({
        sandboxId: `${sandboxId}${worst}`,
        netns,
        uid: worst,
        namespace: worst,
        name: worst,
        containers: [{ id: worst, name: worst, cgroups: [99] }],
      })),
      translated: v4(10, 244, 1, 3),
    },
  );
  expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes);
  expect(Buffer.byteLength(line)).toBeGreaterThan(20_000);
  JSON.parse(line);
});

async function timestamps(ts: readonly bigint[], clockOffset: { seconds: number; nanos: number }): Promise<string[]> {
  const partition = new TestPartition();
  const batch = { ...batchOf(0, ts.length, (item) => reset({ ts: ts[item] })), clockOffset };
  await partition.feed(rawOf({ seq: 1, keyframe: { identity: { netns: [netnsOf(4101)] } } }), rawOf({ seq: 2, batch }));
  return partition.parsed.map((event) => event['@timestamp']);
}

test('timestamps are exact to the nanosecond, with carry, and beyond 104 days of uptime', async () => {
  // Uptime from nothing to 5 years: 2^53 ns are 104.2 days.
  const ts = fc.bigInt({ min: 0n, max: 158_000_000_000_000_000n });
  const seconds = fc.integer({ min: 0, max: 4_000_000_000 });
  const nanos = fc.oneof(fc.constantFrom(0, 1, 999_999_999), fc.nat({ max: 999_999_999 }));
  await fc.assert(
    fc.asyncProperty(fc.array(ts, { minLength: 1, maxLength: 5 }), seconds, nanos, async (all, offsetSeconds, offsetNanos) => {
      const exact = all.map((one) => {
        const unixNs = one + BigInt(offsetSeconds) * 1_000_000_000n + BigInt(offsetNanos);
        const whole = new Date(Number(unixNs / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
        return `${whole}.${String(unixNs % 1_000_000_000n).padStart(9, '0')}Z`;
      });
      expect(await timestamps(all, { seconds: offsetSeconds, nanos: offsetNanos })).toEqual(exact);
    }),
  );
});

test.each([
  [{ seconds: 2 ** 52, nanos: 0 }],
  [{ seconds: -(2 ** 52), nanos: 0 }],
  [{ seconds: 300_000_000_000, nanos: 0 }],
  [{ seconds: -1000, nanos: 0 }],
  [{ seconds: 1_790_000_000, nanos: 4_000_000_000 }],
])('the impossible clock offset %j does not stop the partition', async (clockOffset) => {
  const partition = new TestPartition();
  await partition.feed(
    rawOf({ seq: 1, keyframe: { identity: { netns: [netnsOf(4101)] } } }),
    rawOf({ seq: 2, batch: { ...batchOf(0, 2), clockOffset } }),
    rawOf({ seq: 3, batch: batchOf(2, 2) }),
  );
  expect(partition.ids.slice(-2)).toEqual([2, 3]);
  for (const event of partition.parsed) expect(event['@timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
});

test('a record of the end of time does not stop the partition', async () => {
  const [at] = await timestamps([2n ** 64n - 1n], { seconds: 1_790_000_000, nanos: 999_999_999 });
  expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
});

test('probes whose events are described are the registered ones', () => {
  for (const probe of probes) expect(probe.event.probe).toBe(probe.number);
});
