import { expect, test } from 'vitest';
import { type CollectorBody, CollectorMessage, type Samples } from '../../../proto/collect.ts';
import { SampleLedger } from '../../../test/support/sample-ledger.ts';
import { FieldTable, LayoutNumbers } from '../sources/field-table.ts';
import { OwnedTargets } from './sample-target.ts';
import { SampleWriter } from './sample-writer.ts';

/** A writer, and a table of which the test decides the fields. */
function writing() {
  const shipped: Samples[] = [];
  const writer = new SampleWriter(
    ({ samples }: CollectorBody) => void shipped.push(samples ?? {}),
    () => 1,
  );
  const table = new FieldTable('snmp', new LayoutNumbers(), 64);
  const counts = { resets: 0, wraps: 0, repairs: 0 };
  const ownerOf = (netns: number) => new OwnedTargets({ netns, cgroup: 0 }, { of: () => undefined }, counts);
  const read = (owner: OwnedTargets, values: Readonly<Record<string, number>>, key = ''): void => {
    owner.begin();
    const columns = Int32Array.from(Object.keys(values), (field) => table.indexOf(field));
    owner.take(
      { key, labels: key === '' ? {} : { device: key } },
      { table, columns, values: Float64Array.from(Object.values(values)) },
      writer,
    );
  };
  const ledger = (): SampleLedger => {
    const reader = new SampleLedger();
    for (const samples of shipped) {
      const { samples: decoded } = CollectorMessage.decode(CollectorMessage.encode({ seq: 1, samples }).finish());
      reader.take(decoded ?? {});
    }
    expect(reader.problems).toEqual([]);
    return reader;
  };
  return { shipped, writer, ownerOf, read, ledger };
}

test('first all of a target is told, then what changed, and nothing when nothing did', () => {
  const { shipped, writer, ownerOf, read } = writing();
  const owner = ownerOf(7);
  read(owner, { 'Tcp.A': 1, 'Tcp.B': 0 });
  writer.flush(true);
  read(owner, { 'Tcp.A': 1, 'Tcp.B': 5 });
  read(owner, { 'Tcp.A': 1, 'Tcp.B': 5 });
  writer.flush(true);
  read(owner, { 'Tcp.A': 1, 'Tcp.B': 5 });
  writer.flush(false);
  writer.flush(true);
  expect(shipped).toHaveLength(3);
  expect(shipped[0]).toMatchObject({
    layouts: [{ source: 'snmp', fields: ['Tcp.A', 'Tcp.B'] }],
    targets: [{ netns: 7, all: true, values: [1, 0] }],
    end: true,
  });
  expect(shipped[1]).toMatchObject({ layouts: [], targets: [{ all: false, indexes: [1], values: [5] }] });
  expect(shipped[2]).toMatchObject({ layouts: [], targets: [], end: true });
});

test('a field that the kernel begins to print is told with the layout, which keeps its number', () => {
  const { shipped, writer, ownerOf, read, ledger } = writing();
  const [one, other] = [ownerOf(1), ownerOf(2)];
  read(one, { 'Tcp.A': 1 });
  read(other, { 'Tcp.A': 2 });
  writer.flush(true);
  read(one, { 'IcmpMsg.InType3': 9, 'Tcp.A': 1 });
  read(other, { 'Tcp.A': 3 });
  writer.flush(true);
  expect(shipped[1]?.layouts).toEqual([{ id: shipped[0]?.layouts?.[0]?.id, source: 'snmp', fields: ['Tcp.A', 'IcmpMsg.InType3'] }]);
  expect(Object.fromEntries(ledger().target('snmp', 1)?.values ?? [])).toEqual({ 'Tcp.A': 1, 'IcmpMsg.InType3': 9 });
  expect(Object.fromEntries(ledger().target('snmp', 2)?.values ?? [])).toEqual({ 'Tcp.A': 3 });
});

test('a full cycle tells all of each target and layout in each part', () => {
  const { shipped, writer, ownerOf, read } = writing();
  const owner = ownerOf(7);
  read(owner, { 'Tcp.A': 1 });
  writer.beginCycle(true);
  shipped.length = 0;
  read(owner, { 'Tcp.A': 1 });
  writer.flush(true);
  expect(shipped).toMatchObject([{ full: true, end: true, layouts: [{ fields: ['Tcp.A'] }], targets: [{ all: true }] }]);
});

test('messages stay well below the limit of the stream', () => {
  const { shipped, writer, ownerOf, read, ledger } = writing();
  const values = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`Tcp.Field${i}`, i]));
  for (let netns = 1; netns <= 1000; netns++) read(ownerOf(netns), values);
  writer.flush(true);
  expect(shipped.length).toBeGreaterThan(3);
  for (const samples of shipped) expect(CollectorMessage.encode({ seq: 1, samples }).finish().length).toBeLessThan(640 * 1024);
  expect([...ledger().targets()]).toHaveLength(1000);
});

test('what a refused message told a last time is told again, and no more than that', () => {
  const { shipped, writer, ownerOf, read, ledger } = writing();
  const [gone, lives] = [ownerOf(1), ownerOf(2)];
  read(gone, { 'Tcp.A': 5 });
  read(lives, { 'Tcp.A': 6 });
  gone.endAll(writer);
  writer.putCounters([
    { net: 1, metric: 1, bucket: 0, label: 0, value: 7 },
    { net: 2, metric: 1, bucket: 0, label: 0, value: 8 },
  ]);
  writer.flush(true);
  const [refused] = shipped.splice(0);
  writer.refused(refused ?? {}, (net) => net === 1);
  writer.flush(true);
  expect(ledger().target('snmp', 1)).toMatchObject({ ended: true, values: new Map([['Tcp.A', 5]]) });
  expect(ledger().target('snmp', 2)).toBeUndefined();
  expect([...ledger().counters]).toEqual([['1 1 0 0', 7]]);
});

test('messages that are refused as soon as they are sent are not sent again and again at once', () => {
  const sent: Samples[] = [];
  let room = false;
  const writer: SampleWriter = new SampleWriter(
    ({ samples = {} }: CollectorBody) => {
      sent.push(samples ?? {});
      if (!room) writer.refused(samples ?? {}, () => true);
    },
    () => 1,
  );
  const table = new FieldTable('snmp', new LayoutNumbers(), 64);
  const columns = Int32Array.from({ length: 300 }, (_, i) => table.indexOf(`Tcp.Field${i}`));
  const values = new Float64Array(300).fill(1);
  for (let netns = 1; netns <= 500; netns++) {
    const owner = new OwnedTargets({ netns, cgroup: 0 }, { of: () => undefined }, { resets: 0, wraps: 0, repairs: 0 });
    owner.begin();
    owner.take({ key: '', labels: {} }, { table, columns, values }, writer);
    owner.endAll(writer);
  }
  writer.flush(true);
  expect(sent.length).toBeLessThan(20);
  room = true;
  sent.length = 0;
  writer.beginCycle(true);
  writer.flush(true);
  expect(new Set(sent.flatMap(({ targets }) => targets ?? []).map(({ netns }) => netns)).size).toBe(500);
  for (const samples of sent) expect(CollectorMessage.encode({ seq: 1, samples }).finish().length).toBeLessThan(640 * 1024);
});

test('a target that a read no longer finds has ended, and one that comes again is told whole', () => {
  const { writer, ownerOf, read, ledger } = writing();
  const owner = ownerOf(1);
  read(owner, { 'Receive.bytes': 5 }, 'eth0');
  read(owner, { 'Receive.bytes': 6 }, 'eth1');
  owner.end('snmp', writer);
  writer.flush(false);
  expect(ledger().target('snmp', 1, { device: 'eth0' })?.ended).toBe(true);
  expect(owner.size).toBe(1);
  read(owner, { 'Receive.bytes': 2 }, 'eth0');
  writer.flush(false);
  expect(ledger().target('snmp', 1, { device: 'eth0' })).toMatchObject({ ended: false, values: new Map([['Receive.bytes', 2]]) });
});
