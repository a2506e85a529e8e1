import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { FoundNetns, NodeNamespaces } from './node-namespaces.ts';
import { NetnsTracker } from './tracker.ts';

const second = 1e9;
const hostInode = 4_026_531_840;
const captured = readFileSync(new URL('fixtures/addresses.bin', import.meta.url));

/** A node of which the test says what is found and which addresses there are. */
class TestNode {
  found: FoundNetns[] = [];
  dumps = 0;
  answer: (path: string) => Buffer = () => captured;
  readonly tracker = new NetnsTracker(
    {
      netlinkDump: (path: string) => {
        this.dumps++;
        return this.answer(path);
      },
    },
    { look: () => new Map(this.found.map((netns) => [netns.cookie, { ...netns, names: [...netns.names] }])) } as unknown as NodeNamespaces,
    hostInode,
  );

  look(atSeconds: number) {
    const { changed, gone } = this.tracker.look(atSeconds * second);
    return { changed: changed.map(({ cookie, names, toBootNs }) => [cookie, ...(names ?? []), (toBootNs ?? 0) / second]), gone };
  }
}

function netns(cookie: number, names: string[] = [], more: Partial<FoundNetns> = {}): FoundNetns {
  return { cookie, inode: 4_026_532_000 + cookie, names, processes: [], path: `/run/netns/${names[0] ?? cookie}`, ...more };
}

test('a namespace that appears is told once, with addresses and the time of the look', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'], { processes: [{ pid: 7, comm: 'nginx' }] })];
  const { changed } = node.tracker.look(5 * second);
  expect(changed).toEqual([
    expect.objectContaining({
      cookie: 1,
      inode: 4_026_532_001,
      names: ['web'],
      processes: [{ pid: 7, comm: 'nginx' }],
      fromBootNs: 5 * second,
      toBootNs: 0,
      host: false,
    }),
  ]);
  expect(changed[0].addressIntervals).toHaveLength(4);
  expect(node.look(6)).toEqual({ changed: [], gone: [] });
  expect([...node.tracker.cookies()]).toEqual([1]);
  expect(node.tracker.nameOf(1)).toBe('web');
});

test('a rename, and a first process, are told', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'])];
  node.look(1);
  node.found = [netns(1, ['renamed', 'web'])];
  expect(node.look(2).changed).toEqual([[1, 'renamed', 'web', 0]]);
  node.found = [netns(1, ['renamed', 'web'], { processes: [{ pid: 7, comm: 'a' }] })];
  expect(node.look(3).changed).toHaveLength(1);
  // Which processes live in it changes all the time.
  node.found = [netns(1, ['renamed', 'web'], { processes: [{ pid: 8, comm: 'b' }] })];
  expect(node.look(4).changed).toEqual([]);
  expect(node.tracker.all()[0].processes).toEqual([{ pid: 7, comm: 'a' }]);
});

test('a change of addresses is told: at each look while the namespace is new, at the next second while it is young, later within half a minute', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'])];
  node.look(1);
  node.answer = () => Buffer.alloc(0);
  expect(node.look(1.2).changed).toEqual([[1, 'web', 0]]);
  for (const at of [6, 6.5]) node.look(at);
  node.answer = () => captured;
  expect(node.look(6.8).changed).toEqual([]);
  expect(node.look(7.1).changed).toEqual([[1, 'web', 0]]);
  node.answer = () => Buffer.alloc(0);
  node.look(8.2);
  for (let at = 9; at < 70; at++) node.look(at);
  const dumps = node.dumps;
  for (let at = 70; at < 130; at++) node.look(at);
  expect(node.dumps - dumps).toBeLessThanOrEqual(3);
  node.answer = () => captured;
  const told = Array.from({ length: 31 }, (_, n) => node.look(130 + n).changed.length);
  expect(told.reduce((a, b) => a + b)).toBe(1);
});

test('an address is held from the look before it was found to the look that no longer found it', () => {
  const node = new TestNode();
  const held = (cookie = 1) =>
    node.tracker
      .all()
      .find((one) => one.cookie === cookie)
      ?.addressIntervals?.map(({ fromBootNs, toBootNs }) => [(fromBootNs ?? 0) / second, (toBootNs ?? 0) / second]);
  node.answer = () => Buffer.alloc(0);
  node.look(1);
  node.found = [netns(1, ['web'])];
  node.look(2);
  node.look(3);
  node.answer = () => captured;
  node.look(4);
  expect(new Set(held()?.map(String))).toEqual(new Set(['3,0']));
  node.answer = () => Buffer.alloc(0);
  node.look(5);
  expect(new Set(held()?.map(String))).toEqual(new Set(['3,5']));
  // Late records ask for two minutes who held it.
  for (let at = 6; at < 170; at++) node.look(at);
  expect(held()).toEqual([]);
  // It comes with its addresses: it got them after the last look at which it was not there.
  node.answer = () => captured;
  node.found = [netns(2, ['other'])];
  node.look(170);
  expect(new Set(held(2)?.map(String))).toEqual(new Set(['169,0']));
});

test('addresses that cannot be read stay as they were', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'])];
  node.look(1);
  node.answer = () => {
    throw new Error('EPERM');
  };
  expect(node.look(3)).toEqual({ changed: [], gone: [] });
  expect(node.tracker.all()[0].addressIntervals?.map(({ toBootNs }) => toBootNs)).toEqual([0, 0, 0, 0]);
});

test('a namespace is gone when two looks in a row miss it, once', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web']), netns(2, ['other'])];
  node.look(1);
  node.found = [netns(2, ['other'])];
  expect(node.look(2)).toEqual({ changed: [], gone: [] });
  expect([...node.tracker.cookies()]).toEqual([1, 2]);
  expect(node.look(3)).toEqual({ changed: [[1, 'web', 2]], gone: [1] });
  expect([...node.tracker.cookies()]).toEqual([2]);
  expect(node.look(4)).toEqual({ changed: [], gone: [] });
});

test('one that a single look missed was never gone', () => {
  const node = new TestNode();
  for (let at = 1; at < 20; at++) {
    node.found = at % 2 ? [netns(1, ['web'])] : [];
    expect(node.look(at).gone).toEqual([]);
  }
});

test('the next namespace of the same name and inode is another one, with a life of its own', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'], { inode: 77 })];
  node.look(1);
  node.found = [netns(2, ['web'], { inode: 77 })];
  expect(node.look(2)).toEqual({ changed: [[2, 'web', 0]], gone: [] });
  expect(node.look(3)).toEqual({ changed: [[1, 'web', 2]], gone: [1] });
  expect(node.tracker.all().map(({ cookie, fromBootNs }) => [cookie, fromBootNs])).toEqual([[2, 2 * second]]);
});

test('one that comes back after it was gone begins anew', () => {
  const node = new TestNode();
  node.found = [netns(1, ['web'])];
  node.look(1);
  node.found = [];
  node.look(2);
  node.look(3);
  node.found = [netns(1, ['web'])];
  expect(node.look(9).changed).toEqual([[1, 'web', 0]]);
  expect(node.tracker.all()[0].fromBootNs).toBe(9 * second);
});

test("the node's own namespace is told as such, without its many processes", () => {
  const node = new TestNode();
  node.found = [netns(9, ['leftover'], { inode: hostInode, processes: [{ pid: 1, comm: 'init' }] })];
  expect(node.tracker.look(second).changed).toEqual([expect.objectContaining({ cookie: 9, host: true, processes: [] })]);
  expect(node.tracker.nameOf(9)).toBe('host');
  node.found = [netns(9, ['leftover'], { inode: hostInode, processes: [{ pid: 2, comm: 'other' }] })];
  expect(node.look(2).changed).toEqual([]);
});
