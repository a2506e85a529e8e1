import { expect, test } from 'vitest';
import { netFilterKey, netFilterValue } from '../../bpf/settings.ts';
import type { BpfObject } from '../../native/addon.ts';
import { NetnsFilter } from './netns-filter.ts';

/** A base whose map holds what is written, and refuses all while it is full. */
function mapOf(): { readonly base: BpfObject; readonly entries: Map<string, string>; isFull: boolean } {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const refuse = (): void => {
    if (lab.isFull) throw new Error('E2BIG');
  };
  const lab = {
    isFull: false,
    entries: new Map<string, string>(),
    base: {
      mapUpdate(_map: string, key: Uint8Array, value: Uint8Array) {
        refuse();
        lab.entries.set(hex(key), hex(value));
      },
      mapDelete(_map: string, key: Uint8Array) {
        refuse();
        return lab.entries.delete(hex(key));
      },
    } as Partial<BpfObject> as BpfObject,
  };
  return lab;
}

const entriesOf = (netns: Readonly<Record<number, readonly number[]>>): Map<string, string> =>
  new Map(
    Object.entries(netns).map(([net, probes]) => {
      const [key, value] = [netFilterKey(Number(net)), netFilterValue(new Set(probes))];
      return [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')];
    }),
  );

test('the map holds each namespace with the probes that list it', () => {
  const { base, entries } = mapOf();
  const filter = new NetnsFilter();
  filter.list(base, 1, new Set([4101, 4102]));
  filter.list(base, 2, new Set([4102]));
  expect(entries).toEqual(entriesOf({ 4101: [1], 4102: [1, 2] }));
  filter.list(base, 1, new Set());
  expect(entries).toEqual(entriesOf({ 4102: [2] }));
  filter.list(base, 2, new Set());
  expect(entries.size).toBe(0);
});

test('what the map refused is written the next time', () => {
  const lab = mapOf();
  const filter = new NetnsFilter();
  lab.isFull = true;
  expect(() => filter.list(lab.base, 1, new Set([4101]))).toThrow('E2BIG');
  lab.isFull = false;
  filter.list(lab.base, 1, new Set([4101]));
  filter.list(lab.base, 2, new Set([4101, 4102]));
  expect(lab.entries).toEqual(entriesOf({ 4101: [1, 2], 4102: [2] }));
  for (const [probe, left] of [
    [2, { 4101: [1] }],
    [1, {}],
  ] as const) {
    lab.isFull = true;
    expect(() => filter.list(lab.base, probe, new Set())).toThrow('E2BIG');
    lab.isFull = false;
    filter.list(lab.base, probe, new Set());
    if (probe === 2) filter.list(lab.base, probe, new Set());
    expect(lab.entries).toEqual(entriesOf(left));
  }
});
