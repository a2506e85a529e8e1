import { expect, test } from 'vitest';
import type { Probe } from '../../bpf/probe.ts';
import { KernelPlaces } from './kernel-places.ts';

const stext = 0xffff_ffff_8100_0000n;
const metrics = [{ number: 8, label: { label: 'site', kind: 'symbol' } }, { number: 9 }];
const probe = { number: 3, metrics, places: { siteAt: 120, stackMap: 'stacks' } } as unknown as Probe;

function stackOf(...offsets: number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from({ length: 8 }, (_, at) => (at < offsets.length ? stext + BigInt(offsets[at]) : 0n)).buffer);
}

function placesOf(stacks = new Map<number, Uint8Array>()) {
  const deleted: number[] = [];
  const names = new Map([
    [10, 'nf_hook_slow'],
    [20, 'ip_rcv'],
    [30, 'handle_softirqs'],
    [40, 'some_task'],
  ]);
  const places = new KernelPlaces([probe, { number: 1, metrics: [] as Probe['metrics'] } as Probe], {
    stext,
    nameOf: (offset) => names.get(offset) ?? '',
    readStack: (id) => stacks.get(id),
    deleteStack: (id) => deleted.push(id),
  });
  return { places, deleted, names };
}

test('places are named once; all of them again for a keyframe', () => {
  const { places } = placesOf(new Map([[7, stackOf(10, 20)]]));
  expect([places.siteAt[3], places.siteAt[1]]).toEqual([120, 0]);
  expect([places.see(10, -1), places.see(10, 7), places.see(99, -1)]).toEqual([false, false, false]);
  const told = places.take();
  expect(told).toEqual({
    symbols: [
      { offset: 10, name: 'nf_hook_slow' },
      { offset: 99, name: '' },
    ],
    stacks: [{ id: 7, frames: ['nf_hook_slow', 'ip_rcv'] }],
  });
  expect([places.see(10, 7), places.see(99, -1)]).toEqual([true, true]);
  expect(places.take()).toEqual({ symbols: [], stacks: [] });
  expect(places.all()).toEqual(told);
});

test('a stack ends where the soft interrupt begins; a place without a name is told as a number', () => {
  const { places } = placesOf(new Map([[1, stackOf(10, 0x50, 30, 40)]]));
  places.see(10, 1);
  expect(places.take().stacks).toEqual([{ id: 1, frames: ['nf_hook_slow', '_stext+0x50'] }]);
});

test('a stack begins at the site of its record, whatever the tracepoint put before it', () => {
  const { places } = placesOf(new Map([[1, stackOf(40, 10, 20)]]));
  places.see(10, 1);
  expect(places.take().stacks).toEqual([{ id: 1, frames: ['nf_hook_slow', 'ip_rcv'] }]);
});

test('a stack that is not in the map any more is not told, and looked for again', () => {
  const stacks = new Map<number, Uint8Array>();
  const { places } = placesOf(stacks);
  places.see(10, 5);
  expect(places.take().stacks).toEqual([]);
  expect(places.see(10, 5)).toBe(false);
  stacks.set(5, stackOf(20));
  expect(places.take().stacks).toEqual([{ id: 5, frames: ['ip_rcv'] }]);
});

test('the oldest go: their ids are given back to the kernel, and told anew when they come again', () => {
  const { places, deleted } = placesOf(new Map(Array.from({ length: 1100 }, (_, id) => [id, stackOf(10)])));
  for (let id = 0; id < 1100; id++) places.see(id, id);
  places.take();
  expect([places.all().stacks?.length, deleted.length, deleted[0]]).toEqual([1024, 76, 0]);
  for (let offset = 0; offset < 5000; offset++) places.see(offset, -1);
  places.take();
  expect(places.all().symbols).toHaveLength(4096);
  expect([places.see(0, -1), places.see(4999, 0)]).toEqual([false, false]);
});

test('labels of counters are places, too, where the metric says so; 0 is none', () => {
  const { places } = placesOf();
  const counter = (metric: number, label: number) => ({ net: 1, metric, bucket: 2, label, value: 3 });
  expect(places.seeLabels([counter(9, 10), counter(8, 0), counter(7, 20)])).toBe(false);
  expect(places.seeLabels([counter(8, 20), counter(8, 20)])).toBe(true);
  expect(places.take().symbols).toEqual([{ offset: 20, name: 'ip_rcv' }]);
  expect(places.seeLabels([counter(8, 20)])).toBe(false);
});

test('a place that had no name, or another module’s, gets its own with the next keyframe', () => {
  const { places, names } = placesOf();
  places.see(99, -1);
  places.see(10, -1);
  places.take();
  names.set(99, 'nft_do_chain').set(10, 'nft_immediate_eval');
  expect(places.all().symbols).toEqual([
    { offset: 99, name: 'nft_do_chain' },
    { offset: 10, name: 'nft_immediate_eval' },
  ]);
});

test('where the kernel hides its symbols, places say so and nobody looks for a stack again and again', () => {
  const places = new KernelPlaces([probe], {
    ...{ stext: undefined, nameOf: () => '', readStack: () => stackOf(10), deleteStack: () => undefined },
  });
  places.see(10, 7);
  expect(places.take().symbols).toEqual([{ offset: 10, name: 'hidden_kernel_symbol' }]);
  expect(places.see(10, 7)).toBe(true);
  expect(places.all().symbols).toEqual([{ offset: 10, name: 'hidden_kernel_symbol' }]);
});
