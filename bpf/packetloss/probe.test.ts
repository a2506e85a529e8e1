import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import { type RecordFields, writeRecord } from '../../schema/record-writer.ts';
import { endsOf } from '../../test/lab/record-text.ts';
import { readerOf, readFixture, valuesOf } from '../../test/support/probe-fixtures.ts';
import type { EventNames } from '../event.ts';
import type { KernelFacts, KernelNames } from '../probe.ts';
import { benignDrops } from './benign.ts';
import { packetloss } from './probe.ts';

const { SKB, SOCK, CGROUP, STACK, OWNER } = recordFlags;
const { event } = packetloss;

/** Names as the kernel of the fixtures had them, whatever their values were. */
function namesOf(reason: string | undefined, site = 'nf_hook_slow'): EventNames {
  return {
    ...{ local: 'shop/web-0', far: 'client-0', origin: 'db-0' },
    enumName: (enumeration) => (enumeration === 'skb_drop_reason' ? reason : undefined),
    symbol: () => (site === '' ? undefined : site),
    stack: () => ['nf_hook_slow', 'ip_local_deliver'],
  };
}

function textsOf(record: RecordReader, names: EventNames): Record<string, unknown> {
  return Object.fromEntries((event.texts?.list ?? []).map(({ name, read }) => [name, read(record, names)] as const));
}

const stack = ['nf_hook_slow', 'ip_local_deliver'];
const udp128 = { length_bytes: 128 };

test.each([
  {
    name: 'filter-input',
    fields: { side: 1, family: 2, proto: 17, flags: SKB | STACK },
    ends: '198.51.100.2:7000 198.51.100.1:4000',
    message: 'shop/web-0 dropped a UDP packet from client-0:4000 to port 7000: REASON in nf_hook_slow',
    values: udp128,
    texts: { interface: 'veth0', packet_type: 'host' },
  },
  {
    name: 'filter-syn',
    fields: { side: 1, family: 2, proto: 6, flags: SKB | STACK },
    ends: '198.51.100.2:9000 198.51.100.1:33000',
    message: 'shop/web-0 dropped a TCP SYN from client-0:33000 to port 9000: REASON in nf_hook_slow',
    values: { length_bytes: 60 },
    texts: { interface: 'veth0', packet_type: 'host', tcp_flags: ['SYN'] },
  },
  {
    name: 'filter-output',
    fields: { side: 2, family: 2, proto: 17, flags: SKB | SOCK | CGROUP | STACK },
    ends: '198.51.100.1:4000 198.51.100.2:7000',
    message: 'shop/web-0 dropped a UDP packet to client-0:7000: REASON in nf_hook_slow',
    values: udp128,
    texts: { interface: undefined, packet_type: 'host' },
  },
  {
    name: 'receive-buffer',
    fields: { side: 1, family: 2, proto: 17, flags: SKB | SOCK | CGROUP | STACK },
    ends: '198.51.100.2:5000 198.51.100.1:4000',
    message: 'shop/web-0 dropped a UDP packet from client-0:4000 to port 5000: REASON in nf_hook_slow',
    values: { length_bytes: 528 },
    texts: { packet_type: 'host' },
  },
  {
    name: 'queue',
    fields: { side: 2, family: 2, proto: 17, flags: SKB | SOCK | CGROUP | STACK },
    ends: '198.51.100.1:4000 198.51.100.2:99',
    message: 'shop/web-0 dropped a UDP packet to client-0:99: REASON in nf_hook_slow',
    values: { length_bytes: 1028 },
    texts: { interface: 'veth0' },
  },
  {
    name: 'no-route',
    fields: { side: 0, family: 2, proto: 17, flags: SKB | STACK },
    ends: '198.51.100.1:4000 203.0.113.5:99',
    message: 'shop/web-0 dropped a UDP packet on its way from db-0:4000 to client-0:99: REASON in nf_hook_slow',
    values: udp128,
    texts: { interface: 'veth0' },
  },
  {
    name: 'no-route-out',
    fields: { side: 2, family: 2, proto: 6, state: 1, flags: SOCK | CGROUP | OWNER | STACK },
    ends: '198.51.100.1:33000 198.51.100.2:9000',
    message: 'shop/web-0 dropped a TCP packet to client-0:9000: REASON in nf_hook_slow',
    values: {},
    texts: { interface: undefined },
  },
  {
    name: 'fragment-v6',
    fields: { side: 1, family: 10, proto: 17, flags: SKB | STACK },
    ends: '[2001:db8::2]:0 [2001:db8::1]:0',
    message: 'shop/web-0 dropped a fragment of a UDP packet from client-0: REASON in nf_hook_slow',
    values: { fragment_offset_bytes: 1448 },
    texts: { interface: 'veth0' },
  },
  {
    name: 'arp',
    fields: { side: 0, family: 0, proto: 0, flags: STACK },
    ends: '[::]:0 [::]:0',
    message: 'shop/web-0 dropped an ARP packet on veth0: REASON in nf_hook_slow',
    values: { length_bytes: 28 },
    texts: { interface: 'veth0', packet_type: 'broadcast' },
  },
])('recorded $name is decoded, and told in words and numbers', ({ name, fields, ends, message, values, texts }) => {
  const record = readFixture(packetloss, name);
  const names = namesOf('REASON');
  expect(record).toMatchObject({ probe: packetloss.number, variant: 1, length: 192, v0: 0, ...fields });
  expect(endsOf(record)).toBe(ends);
  expect([event.reason(record, names), event.message(record, names)]).toEqual(['REASON', message]);
  expect(valuesOf(packetloss, record)).toMatchObject(values);
  expect(textsOf(record, names)).toMatchObject({ site: 'nf_hook_slow', stack, ...texts });
  expect([record.code > 0, record.v1 > 0, record.net > 0, record.tsNs > 0]).toEqual([true, true, true, true]);
  expect(record.next()).toBe(false);
});

function made(fields: Partial<RecordFields>, words: readonly number[] = []): RecordReader {
  const tail = new Uint8Array(BigUint64Array.from({ length: 8 }, (_, at) => BigInt(words[at] ?? 0)).buffer);
  return readerOf(
    writeRecord({
      probe: packetloss.number,
      variant: 1,
      family: 2,
      side: 2,
      proto: 6,
      sport: 1,
      dport: 2,
      v: [0, 0x1f, 40],
      tail,
      ...fields,
    }),
  );
}

test.each([
  ['a TCP RST', { proto: 6 }, [0x800, 0, 0x14]],
  ['a TCP SYN-ACK', { proto: 6 }, [0x800, 0, 0x12]],
  ['a TCP FIN', { proto: 6 }, [0x800, 0, 0x11]],
  ['a TCP packet', { proto: 6 }, [0x800, 0, 0x18]],
  ['an ICMP packet', { proto: 1 }, [0x800]],
  ['an SCTP packet', { proto: 132 }, [0x800]],
  ['an IPv6 packet of protocol 89', { proto: 89, family: 10 }, [0x86dd]],
  ['an IPv4 packet of protocol 253', { proto: 253 }, [0x800]],
  ['an LLDP packet', { proto: 0, family: 0 }, [0x88cc]],
  ['a 0x88f7 packet', { proto: 0, family: 0 }, [0x88f7]],
  ['a packet', { proto: 0, family: 0 }, [0]],
])('%s is called so', (called, fields, words) => {
  const text = event.message(made(fields, words), namesOf('X'));
  expect(text.startsWith(`shop/web-0 dropped ${called}${'family' in fields && fields.family === 0 ? ':' : ' '}`)).toBe(true);
});

test('what is not known is told as a number, or not at all', () => {
  const names = namesOf(undefined, '');
  expect(event.message(made({ code: 12 }), names)).toBe('shop/web-0 dropped a TCP packet to client-0:2: 12 in _stext+0x1f');
  expect(event.message(made({ code: 0 }), names)).toBe('shop/web-0 dropped a TCP packet to client-0:2: in _stext+0x1f');
  expect(event.reason(made({ code: 0 }), names)).toBeUndefined();
  const subsystems = {
    ...names,
    enumName: (enumeration: string, value: number) => (enumeration === 'skb_drop_reason_subsys' && value === 3 ? 'OPENVSWITCH' : undefined),
  };
  expect(event.reason(made({ code: 0x3_0002 }), subsystems)).toBe('OPENVSWITCH_2');
  expect(event.message(made({ code: 1 }), { ...names, far: '2001:db8::7' })).toContain('to [2001:db8::7]:2: ');
  expect(valuesOf(packetloss, made({}, [0, 0, 0, 0, 7]))).toEqual({ segments: 7, length_bytes: 40 });
});

function kernel(args: number | undefined): KernelFacts {
  return { tracepointArgs: (name) => (name === 'kfree_skb' ? args : 3), hasMember: () => true };
}

test.each([
  { args: 4, program: ['packetloss_rx_sk'], degraded: [] },
  { args: 3, program: ['packetloss_reason'], degraded: ['sockets that refuse packets'] },
  { args: 2, program: ['packetloss_site'], degraded: ['sockets that refuse packets', 'reasons of drops'] },
  { args: undefined, program: [], degraded: ['dropped packets'] },
])('on a kernel whose tracepoint has $args arguments', ({ args, program, degraded }) => {
  const selection = packetloss.select(kernel(args));
  expect([selection.programs, selection.attach]).toEqual([program, program]);
  expect(selection.degraded.map(({ what }) => what)).toEqual(degraded.map((what) => expect.stringContaining(what)));
  for (const { what, reason, remedy } of selection.degraded) expect([what, reason, remedy]).not.toContain('');
});

/** struct drop_table of benign.h, read back. */
function tableOf(names: KernelNames) {
  const preparation = packetloss.prepare?.(names);
  const [{ section, bytes }] = preparation?.data ?? [];
  const view = new DataView(bytes.buffer);
  const ranges = Array.from({ length: view.getUint32(8, true) }, (_, index) => {
    const at = 272 + index * 16;
    return [0, 4, 8, 12].map((word) => view.getUint32(at + word, true));
  });
  const listed = Array.from({ length: 256 }, (_, reason) => reason).filter((reason) => view.getUint8(16 + reason) === 1);
  return { section, stext: view.getBigUint64(0, true), ranges, listed, degraded: preparation?.degraded ?? [] };
}

const enumValues = () =>
  [
    [2, 'SKB_DROP_REASON_NOT_SPECIFIED'],
    [104, 'SKB_DROP_REASON_QUEUE_PURGE'],
    [3, 'SKB_DROP_REASON_NO_SOCKET'],
  ] as const;

test('benign drops are written by the numbers of this kernel, each part of each function', () => {
  const code: Record<string, { start: number; bytes: number }[]> = {
    tcp_v4_rcv: [
      { start: 100, bytes: 50 },
      { start: 9000, bytes: 10 },
    ],
    ip6_mc_input: [{ start: 7, bytes: 3 }],
    sk_stream_kill_queues: [{ start: 500, bytes: 5 }],
  };
  const table = tableOf({ stext: 0xffff_ffff_8100_0000n, codeOf: (name) => code[name] ?? [], enumValues });
  expect([table.section, table.stext, table.degraded]).toEqual(['.data.drops', 0xffff_ffff_8100_0000n, []]);
  expect(table.ranges).toEqual([
    [2, 100, 50, 0xff],
    [2, 9000, 10, 0xff],
    [2, 7, 3, 0b110],
    [104, 500, 5, 0xff],
    [3, 100, 50, 0xff],
    [3, 9000, 10, 0xff],
    [3, 0, 0xffff_ffff, 0b110],
  ]);
  expect(table.listed).toEqual([2, 3, 104]);
});

test('without symbols nothing is told by place: reasons that are benign somewhere are only counted', () => {
  const { stext, ranges, degraded } = tableOf({ stext: undefined, codeOf: () => [], enumValues });
  expect(stext).toBe(0n);
  expect(ranges).toContainEqual([2, 0, 0xffff_ffff, 0xff]);
  expect(degraded).toMatchObject([{ remedy: expect.stringContaining('CAP_SYSLOG') }]);
});

test('without reasons the functions alone tell', () => {
  const { ranges } = tableOf({ stext: 1n, codeOf: () => [{ start: 1, bytes: 2 }], enumValues: () => undefined });
  expect(new Set(ranges.map(([reason]) => reason))).toEqual(new Set([0]));
  expect(ranges).not.toContainEqual(expect.arrayContaining([0xffff_ffff]));
});

test('the table has room for each benign function twice, and says why it is benign', () => {
  const functions = benignDrops.flatMap(({ sites }) => sites ?? ['everywhere']);
  expect(functions.length * 2).toBeLessThanOrEqual(128);
  for (const { why } of benignDrops) expect(why).not.toBe('');
});
