import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FieldTable, LayoutNumbers } from './field-table.ts';
import { keyValues } from './key-lines.ts';
import { pairedValues } from './paired-lines.ts';
import { openNetnsFileSources } from './registry.ts';
import type { NetnsFileSource } from './source.ts';
import { collected, fixture, pairedTruth, valuesOf } from './test-readings.ts';
import { TextParser } from './text-parser.ts';

const sources = (): Map<string, NetnsFileSource> => new Map(openNetnsFileSources(new LayoutNumbers(), 64).map((one) => [one.name, one]));
const read = (name: string, bytes: Buffer, anew = false) =>
  collected((take) => expect(sources().get(name)?.read(bytes, take, anew)).toBe(true));
const keyTruth = (text: string) =>
  Object.fromEntries(
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([name, value]) => [name, Number(value)]),
  );

test.each(['snmp-4.19.txt', 'snmp-6.18.txt', 'netstat-6.18.txt'])('every field of %s is read', (file) => {
  const bytes = fixture(file);
  const truth = pairedTruth(bytes.toString());
  expect(Object.keys(truth).length).toBeGreaterThan(50);
  expect(read(file.split('-')[0] ?? '', bytes)).toEqual({ '': truth });
});

test('fields that only some kernels print, gauges below 0 and the largest exact number are read as they are', () => {
  const { '': old } = read('snmp', fixture('snmp-4.19.txt'));
  expect(old).toMatchObject({ 'Tcp.MaxConn': -1, 'Ip.InReceives': Number.MAX_SAFE_INTEGER, 'IcmpMsg.OutType8': 1 });
  expect(old).not.toHaveProperty('Ip.OutTransmits');
  expect(read('snmp', fixture('snmp-6.18.txt'))['']).toHaveProperty('Ip.OutTransmits');
});

test('every field of snmp6 is read', () => {
  const truth = keyTruth(fixture('snmp6-6.18.txt').toString());
  expect(read('snmp6', fixture('snmp6-6.18.txt'))).toEqual({ '': truth });
  expect(Object.keys(truth).length).toBeGreaterThan(80);
});

test('every field of sockstat and sockstat6 is read', () => {
  expect(read('sockstat', fixture('sockstat-4.19.txt'))).toEqual({
    '': {
      'sockets.used': 158,
      'TCP.inuse': 4,
      'TCP.orphan': 0,
      'TCP.tw': 3,
      'TCP.alloc': 6,
      'TCP.mem': 1,
      'UDP.inuse': 2,
      'UDP.mem': 1,
      'UDPLITE.inuse': 0,
      'RAW.inuse': 0,
      'FRAG.inuse': 1,
      'FRAG.memory': 4608,
    },
  });
  expect(read('sockstat6', fixture('sockstat6-6.18.txt'))['']).toMatchObject({ 'TCP6.inuse': 3, 'FRAG6.memory': 0 });
});

test('each device is a target; a name that leaves no blank before the first number is no matter', () => {
  const devices = read('netdev', fixture('dev-4.19.txt'));
  expect(Object.keys(devices)).toEqual(['lo', 'wlp-a-long-name0']);
  expect(devices['wlp-a-long-name0']).toEqual({
    'Receive.bytes': Number.MAX_SAFE_INTEGER,
    'Receive.packets': 10,
    'Receive.errs': 1,
    'Receive.drop': 2,
    'Receive.fifo': 3,
    'Receive.frame': 4,
    'Receive.compressed': 5,
    'Receive.multicast': 6,
    'Transmit.bytes': 7,
    'Transmit.packets': 8,
    'Transmit.errs': 9,
    'Transmit.drop': 10,
    'Transmit.fifo': 11,
    'Transmit.colls': 12,
    'Transmit.carrier': 13,
    'Transmit.compressed': 14,
  });
  expect(read('netdev', fixture('dev-6.18.txt')).lo).toMatchObject({ 'Receive.bytes': 11110, 'Transmit.packets': 20 });
});

test('a text that was read before is read by its shape, with the same values', () => {
  const source = sources().get('snmp') as NetnsFileSource;
  const before = fixture('snmp-6.18.txt');
  const after = Buffer.from(before.toString().replace(/^(Tcp: \d.*) \d+$/m, '$1 1234567'));
  expect(after.equals(before)).toBe(false);
  for (const bytes of [before, after, fixture('snmp-4.19.txt'), before])
    for (const anew of [false, true])
      expect(collected((take) => source.read(bytes, take, anew))).toEqual({ '': pairedTruth(bytes.toString()) });
});

test('this kernel prints what the parsers read', () => {
  for (const name of ['snmp', 'netstat']) {
    const bytes = readFileSync(`/proc/net/${name}`);
    expect(read(name, bytes)).toEqual({ '': pairedTruth(bytes.toString()) });
  }
  const bytes = readFileSync('/proc/net/snmp6');
  expect(read('snmp6', bytes)).toEqual({ '': keyTruth(bytes.toString()) });
});

test('a file that is something else is refused whole or ends where it is no longer understood', () => {
  const broken = ['', '\n', 'x', 'Tcp: A B\n', 'Tcp: A B\nUdp: 1 2\n', 'Tcp: A B\nTcp: 1\n', 'Tcp: A B\nTcp: 1 x\n', 'lo: 1 2 3\n'];
  for (const text of broken)
    for (const [name, source] of sources())
      expect(
        source.read(Buffer.from(text), () => undefined, false),
        `${name}: ${text}`,
      ).toBe(false);
});

test('a cut file tells nothing wrong', () => {
  const whole = fixture('snmp-6.18.txt');
  const truth = pairedTruth(whole.toString());
  const source = sources().get('snmp') as NetnsFileSource;
  source.read(whole, () => undefined, false);
  for (let length = 0; length < whole.length; length += 7) {
    const found = collected((take) => source.read(whole.subarray(0, length), take, false))[''] ?? {};
    for (const [field, value] of Object.entries(found)) expect(value, field).toBe(truth[field]);
  }
});

test('whatever names and numbers a text holds, it is read by shape as it is read anew', () => {
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.]{0,40}$/);
  const value = fc.oneof(fc.maxSafeNat(), fc.nat(9), fc.integer());
  const rows = fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(rows, fc.array(value, { minLength: 40, maxLength: 40 }), (before, values) => {
      const parser = new TextParser(new FieldTable('snmp6', new LayoutNumbers(), 64), (text) => keyValues(text));
      const text = (of: (i: number) => number): Buffer => Buffer.from(before.map(([key], i) => `${key.padEnd(20)}\t${of(i)}\n`).join(''));
      for (const of of [(i: number) => before[i]?.[1] ?? 0, (i: number) => values[i] ?? 0]) {
        const reading = parser.parse(text(of));
        expect(reading && valuesOf(reading)).toEqual(Object.fromEntries(before.map(([key], i) => [key, of(i) + 0])));
      }
    }),
  );
});

test('fields are only added: a new one leaves the indexes of the others as they are', () => {
  const numbers = new LayoutNumbers();
  const table = new FieldTable('snmp', numbers, 64);
  const parser = new TextParser(table, pairedValues);
  parser.parse(Buffer.from('Tcp: A B\nTcp: 1 2\n'));
  const first = table.layout();
  const reading = parser.parse(Buffer.from('IcmpMsg: InType3\nIcmpMsg: 9\nTcp: A B\nTcp: 1 2\n'));
  expect(Array.from(reading?.columns ?? [])).toEqual([2, 0, 1]);
  expect(table.layout()).toEqual({ id: first.id, source: 'snmp', fields: ['Tcp.A', 'Tcp.B', 'IcmpMsg.InType3'] });
  expect(first.fields).toEqual(['Tcp.A', 'Tcp.B']);
});

test('names beyond the limit are not told', () => {
  const table = new FieldTable('snmp', new LayoutNumbers(), 64);
  for (let i = 0; i < 1024; i++) expect(table.indexOf(`F${i}`)).toBe(i);
  expect(table.indexOf('G')).toBe(-1);
  expect(table.indexOf('F7')).toBe(7);
});
