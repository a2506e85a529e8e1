import { expect, test } from 'vitest';
import { type RecordFields, writeRecords } from '../../../schema/record-writer.ts';
import type { TrackedConnection, Tuple } from './ctnetlink.ts';
import type { TrackedNetns } from './tracked-netns.ts';
import { Translator } from './translator.ts';

const held = { has: () => false };
const node = 1;
const podNetns = 2;
const ipv4 = (...bytes: number[]): Buffer => Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), Buffer.from(bytes)]);
const backend = ipv4(10, 244, 1, 9);

/** Everything that is asked for is translated to the backend, in the namespaces that track. */
function translatorOf(tracking: readonly number[], rate = 1000) {
  const asked: [number, Tuple][] = [];
  const clock = { ms: 0 };
  const netns = {
    tracks: (cookie: number) => tracking.includes(cookie),
    connection: (cookie: number, _proto: number, seen: Tuple): TrackedConnection => {
      asked.push([cookie, seen]);
      const reply = { source: backend, sourcePort: 8080, destination: seen.source, destinationPort: seen.sourcePort };
      return { original: seen, reply };
    },
    closeIdle: () => undefined,
  } as unknown as TrackedNetns;
  const metrics = { lookups: 0, lookupsSkipped: 0 };
  const translator = new Translator(netns, { rate, nowMs: () => clock.ms }, metrics);
  return { translator, asked, metrics, clock };
}

function batchOf(...records: RecordFields[]) {
  const usual = {
    net: podNetns,
    proto: 6,
    family: 2,
    side: 2,
    saddr: [10, 244, 1, 2],
    daddr: [10, 96, 0, 1],
    sport: 40_000,
    dport: 80,
    sock: 7,
  };
  return { count: records.length, records: writeRecords(records.map((record) => ({ ...usual, ...record }))) };
}

test('a translated record is named by its index in the batch, with what is behind its far end', () => {
  const { translator, asked } = translatorOf([node]);
  const found = translator.translations(batchOf({ daddr: [127, 0, 0, 1] }, {}, { side: 0 }, { sport: 40_001, sock: 8 }), node, held);
  expect(found).toEqual([
    { index: 1, address: backend, port: 8080 },
    { index: 3, address: backend, port: 8080 },
  ]);
  expect(
    asked.map(([cookie, { source, destination, sourcePort, destinationPort }]) => [
      cookie,
      source,
      destination,
      sourcePort,
      destinationPort,
    ]),
  ).toEqual([
    [node, ipv4(10, 244, 1, 2), ipv4(10, 96, 0, 1), 40_000, 80],
    [node, ipv4(10, 244, 1, 2), ipv4(10, 96, 0, 1), 40_001, 80],
  ]);
});

test.each([
  ['loopback', { daddr: [127, 0, 0, 1] }],
  ['a forwarded packet', { side: 0 }],
  ['ICMP', { proto: 1 }],
  ['a record without ports', { sport: 0, dport: 0 }],
])('%s is not looked up', (_, fields) => {
  const { translator, metrics } = translatorOf([node, podNetns]);
  expect(translator.translations(batchOf(fields), node, held)).toEqual([]);
  expect(metrics).toEqual({ lookups: 0, lookupsSkipped: 0 });
});

test('who talks to an address of another namespace of this node is not translated', () => {
  const { translator, metrics } = translatorOf([node]);
  expect(translator.translations(batchOf({}), node, { has: (...words) => words[3] === 0x0100600a })).toEqual([]);
  expect(metrics.lookups).toBe(0);
});

test('where nothing is tracked nothing is asked; a namespace that tracks by itself is asked before the node', () => {
  expect(translatorOf([]).translator.translations(batchOf({}), node, held)).toEqual([]);
  const both = translatorOf([node, podNetns]);
  both.translator.translations(batchOf({}), node, held);
  expect(both.asked.map(([cookie]) => cookie)).toEqual([podNetns]);
  const host = translatorOf([node]);
  host.translator.translations(batchOf({ net: node }), node, held);
  expect(host.asked.map(([cookie]) => cookie)).toEqual([node]);
});

test('the same socket is asked for once; the same tuple of another socket, or in another namespace, again', () => {
  const { translator, metrics } = translatorOf([node]);
  expect(translator.translations(batchOf({}, {}, {}), node, held)).toHaveLength(3);
  expect(metrics.lookups).toBe(1);
  translator.translations(batchOf({ sock: 8 }, { net: 3 }), node, held);
  expect(metrics.lookups).toBe(3);
});

test('without a socket an answer is old after a second', () => {
  const { translator, metrics, clock } = translatorOf([node]);
  translator.translations(batchOf({ sock: 0 }), node, held);
  clock.ms = 900;
  translator.translations(batchOf({ sock: 0 }), node, held);
  expect(metrics.lookups).toBe(1);
  clock.ms = 1100;
  translator.translations(batchOf({ sock: 0 }), node, held);
  expect(metrics.lookups).toBe(2);
});

test('what is beyond the rate is counted, and asked for again later', () => {
  const { translator, metrics, clock } = translatorOf([node], 10);
  const many = batchOf(...Array.from({ length: 25 }, (_, n) => ({ sock: n + 1 })));
  expect(translator.translations(many, node, held)).toHaveLength(10);
  expect(metrics).toEqual({ lookups: 10, lookupsSkipped: 15 });
  clock.ms = 500;
  expect(translator.translations(many, node, held)).toHaveLength(15);
  expect(metrics).toEqual({ lookups: 15, lookupsSkipped: 25 });
});

test('answers are kept for some thousand connections', () => {
  const { translator, metrics } = translatorOf([node], 100_000);
  for (let first = 0; first < 10_000; first += 100) {
    translator.translations(batchOf(...Array.from({ length: 100 }, (_, n) => ({ sock: first + n + 1 }))), node, held);
  }
  expect(metrics.lookups).toBe(10_000);
  translator.translations(batchOf({ sock: 10_000 }, { sock: 1 }), node, held);
  expect(metrics.lookups).toBe(10_001);
});
