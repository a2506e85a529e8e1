import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recordFlags } from '../../schema/record.gen.ts';
import { wordsOf } from './address-index.ts';
import { NodeIdentity } from './identity.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, TestPartition, tickOf, v4 } from './test-stream.ts';

const second = 1e9;

function identityOf(...netns: Parameters<typeof netnsOf>[]): NodeIdentity {
  const identity = new NodeIdentity();
  identity.learn({ netns: netns.map((one) => netnsOf(...one)) }, 0);
  return identity;
}

function holder(identity: NodeIdentity, address: Uint8Array, bootNs: number): number | string {
  const { netnsId, ambiguous } = identity.holder(...wordsOf(address), bootNs);
  return ambiguous ? 'ambiguous' : (identity.get(netnsId)?.cookie ?? 'nobody');
}

test('a namespace is found by its cookie, all 53 bits of it', () => {
  const identity = identityOf([4101], [2 ** 32 + 4101], [2 ** 52 + 1]);
  const found = (lo: number, hi: number) => identity.get(identity.local(lo, hi, 1, false))?.cookie;
  expect([found(4101, 0), found(4101, 1), found(1, 2 ** 20), found(4102, 0)]).toEqual([4101, 2 ** 32 + 4101, 2 ** 52 + 1, undefined]);
});

test('a change of a known namespace replaces it and is no news; a new one is', () => {
  const identity = new NodeIdentity();
  expect(identity.learn({ netns: [netnsOf(1)] }, 0)).toBe(true);
  expect(identity.learn({ netns: [netnsOf(1, { names: ['renamed'] })] }, 0)).toBe(false);
  expect(identity.snapshot().netns).toHaveLength(1);
  expect(identity.get(identity.local(1, 0, 0, false))?.names).toEqual(['renamed']);
  expect(identity.learn({ netns: [netnsOf(1, { fromBootNs: 5 * second })] }, 0)).toBe(true);
});

test('an address belongs to its holder for as long as it held it, give or take two seconds', () => {
  const address = v4(10, 0, 0, 1);
  const identity = identityOf([1, { addresses: [address], fromBootNs: 100 * second, toBootNs: 200 * second }]);
  expect(holder(identity, address, 97 * second)).toBe('nobody');
  expect(holder(identity, address, 98 * second)).toBe(1);
  expect(holder(identity, address, 201.9 * second)).toBe(1);
  expect(holder(identity, address, 202 * second)).toBe('nobody');
  expect(holder(identity, v4(10, 0, 0, 2), 150 * second)).toBe('nobody');
});

test('an address that two held within the uncertainty is ambiguous, never guessed', () => {
  const address = v4(10, 0, 0, 1);
  const identity = identityOf(
    [1, { addresses: [address], fromBootNs: 0, toBootNs: 100 * second }],
    [2, { addresses: [address], fromBootNs: 101 * second }],
  );
  expect([90, 100, 101, 103].map((at) => holder(identity, address, at * second))).toEqual([1, 'ambiguous', 'ambiguous', 2]);
  const both = identityOf([1, { addresses: [address] }], [2, { addresses: [address] }]);
  expect(holder(both, address, 50 * second)).toBe('ambiguous');
});

test('addresses that are not 16 bytes long are left out', () => {
  const identity = identityOf([1, { addresses: [Uint8Array.of(10, 0, 0, 1), new Uint8Array(0), new Uint8Array(17), v4(10, 0, 0, 1)] }]);
  expect(identity.snapshot().netns[0].addresses.map(({ address: hex }) => hex)).toEqual(['00000000000000000000ffff0a000001']);
});

test('an inode names the namespace that had it at the time', () => {
  const inode = 4_026_532_999;
  const identity = identityOf(
    [inode, { inode, names: ['first'], fromBootNs: 10 * second, toBootNs: 20 * second }],
    [inode, { inode, names: ['second'], fromBootNs: 30 * second }],
  );
  const name = (at: number) => identity.get(identity.local(inode, 0, at * second, true))?.names[0];
  expect([15, 29.5, 30, 1000].map(name)).toEqual(['first', 'second', 'second', 'second']);
  // Between the two looks nobody knows which; long before the first nobody had it.
  expect([25, 1].map(name)).toEqual([undefined, undefined]);
});

test('a record of a namespace that a look finds a moment later is not of an unknown one, with cookies or inodes', async () => {
  for (const flags of [0, recordFlags.NET_IS_INODE]) {
    const partition = new TestPartition();
    const netns = netnsOf(4101, { inode: 4101, fromBootNs: 5.5 * second });
    await partition.feed(
      rawOf({ seq: 1, batch: batchOf(0, 1, () => reset({ flags, ts: 5 * second })) }),
      rawOf({ seq: 2, identity: { netns: [netns] } }),
    );
    expect(partition.parsed.map((event) => event.jitterscope.identity.source)).toEqual(['netns']);
    expect(partition.state.dispositions).toMatchObject({ events: 1, held: 0, unidentified: 0 });
  }
});

test('what is gone for two minutes is forgotten at the next change; until then late records find it', () => {
  const identity = identityOf([1, { toBootNs: 100 * second }], [2]);
  identity.learn({ netns: [netnsOf(3)] }, 219 * second);
  expect(identity.local(1, 0, 99 * second, false)).toBeGreaterThanOrEqual(0);
  identity.learn({ netns: [netnsOf(4)] }, 221 * second);
  expect(identity.local(1, 0, 99 * second, false)).toBe(-1);
  expect(identity.snapshot().netns.map(({ cookie }) => cookie)).toEqual([2, 3, 4]);
});

test('a node of more namespaces than is plausible keeps the first ones and lives', () => {
  const identity = new NodeIdentity();
  const many = Array.from({ length: 3000 }, (_, i) => netnsOf(i + 1, { names: [] }));
  identity.learn({ netns: many }, 0);
  expect(identity.snapshot().netns).toHaveLength(3000);
});

const netns = fc.record({
  cookie: fc.nat({ max: 12 }),
  inode: fc.nat({ max: 5 }),
  names: fc.array(fc.constantFrom('a', 'b', '\u0000')),
  addresses: fc.array(fc.nat({ max: 4 }).map((d) => v4(10, 0, 0, d))),
  fromBootNs: fc.nat({ max: 300 }).map((s) => s * second),
  toBootNs: fc.oneof(
    fc.constant(0),
    fc.nat({ max: 600 }).map((s) => s * second),
  ),
  host: fc.boolean(),
});

const pod = fc.record({
  sandboxId: fc.constantFrom('a', 'b', 'c', 'd'),
  name: fc.constantFrom('web', 'db'),
  netns: fc.nat({ max: 12 }),
  hostNetwork: fc.boolean(),
  addresses: fc.array(fc.nat({ max: 4 }).map((d) => v4(10, 0, 0, d))),
  containers: fc.array(fc.record({ id: fc.string(), cgroups: fc.array(fc.nat({ max: 9 })), sampledCgroup: fc.nat({ max: 9 }) })),
  fromBootNs: fc.nat({ max: 300 }).map((s) => s * second),
  toBootNs: fc.oneof(
    fc.constant(0),
    fc.nat({ max: 600 }).map((s) => s * second),
  ),
});

test('restored from a snapshot it answers as before, and goes on as before', () => {
  const identityMessage = fc.record({
    netns: fc.array(netns, { maxLength: 5 }),
    pods: fc.array(pod, { maxLength: 4 }),
    nodeCgroups: fc.array(fc.nat({ max: 9 })),
  });
  const news = fc.array(fc.tuple(identityMessage, fc.nat({ max: 700 })), { maxLength: 8 });
  fc.assert(
    fc.property(news, news, (before, after) => {
      const one = new NodeIdentity();
      for (const [message, at] of before) one.learn(message, at * second);
      const two = new NodeIdentity();
      two.restore(JSON.parse(JSON.stringify(one.snapshot())) as ReturnType<typeof one.snapshot>);
      for (const [message, at] of after) expect(two.learn(message, at * second)).toBe(one.learn(message, at * second));
      expect(two.snapshot()).toEqual(one.snapshot());
      for (let at = 0; at < 700; at += 50) {
        const bootNs = at * second;
        for (let d = 0; d < 5; d++) {
          const [two0, one0] = [two, one].map((identity) => ({ ...identity.holder(...wordsOf(v4(10, 0, 0, d)), bootNs) }));
          expect(two0).toEqual(one0);
        }
        for (let key = 0; key < 13; key++) {
          for (const isInode of [false, true]) {
            const [two0, one0] = [two, one].map((identity) => {
              const id = identity.local(key, 0, bootNs, isInode);
              return [id, identity.podOf(id, bootNs), identity.ofCgroup(key, 0, bootNs), identity.entityOf(key, key % 3, bootNs)];
            });
            expect(two0).toEqual(one0);
          }
        }
      }
    }),
  );
});

async function endsOf(
  daddr: Uint8Array,
  saddr = v4(10, 244, 1, 2),
  net = 4101,
): Promise<{ source: string; destination: string; peer: string | undefined; message: string }> {
  const partition = new TestPartition();
  const identity = {
    netns: [
      netnsOf(4101, { names: ['web'], addresses: [v4(10, 244, 1, 2), v4(10, 244, 9, 9)] }),
      netnsOf(4102, { names: ['client'], addresses: [v4(10, 244, 1, 3)] }),
      netnsOf(4103, { names: ['twin'], addresses: [v4(10, 244, 1, 4)] }),
      netnsOf(4104, { names: [], processes: [{ pid: 9, comm: 'nginx' }], addresses: [v4(10, 244, 1, 4), v4(10, 244, 1, 5)] }),
      netnsOf(1, { names: ['ignored'], host: true, addresses: [v4(192, 168, 0, 1)] }),
    ],
  };
  await partition.feed(
    rawOf({ seq: 1, keyframe: { identity } }),
    rawOf({ seq: 2, batch: batchOf(0, 1, () => reset({ net, saddr, daddr })) }),
    tickOf(1, 60_000),
  );
  const [{ jitterscope, message }] = partition.parsed;
  return { ...jitterscope.identity, peer: jitterscope.peer?.netns.name, message };
}

const v6 = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

test.each([
  ['another namespace', v4(10, 244, 1, 3), 'ip', 'client'],
  ['an address of two', v4(10, 244, 1, 4), 'ambiguous', undefined],
  ['a namespace without a name', v4(10, 244, 1, 5), 'ip', undefined],
  ['the node', v4(192, 168, 0, 1), 'node', undefined],
  ['somebody else', v4(8, 8, 8, 8), 'external', undefined],
  ['itself', v4(10, 244, 1, 2), 'same', undefined],
  ['another address of its own', v4(10, 244, 9, 9), 'same', undefined],
  ['loopback', v4(127, 3, 2, 1), 'same', undefined],
  ['link-local', v4(169, 254, 1, 1), 'unknown', undefined],
  ['not loopback', v4(128, 0, 0, 1), 'external', undefined],
  ['::1', v6('00000000000000000000000000000001'), 'same', undefined],
  ['::2', v6('00000000000000000000000000000002'), 'external', undefined],
  ['fe80::1', v6('fe800000000000000000000000000001'), 'unknown', undefined],
  ['febf::1', v6('febf0000000000000000000000000001'), 'unknown', undefined],
  ['fec0::1', v6('fec00000000000000000000000000001'), 'external', undefined],
])('the far end %s is told', async (_, daddr, destination, peer) => {
  expect(await endsOf(daddr)).toMatchObject({ source: 'netns', destination, peer });
});

test('the local end is the node in its own namespace, and unknown where nobody knows', async () => {
  expect(await endsOf(v4(10, 244, 1, 3), v4(192, 168, 0, 1), 1)).toMatchObject({
    source: 'node',
    message: expect.stringMatching(/^node1 reset a connection from client/),
  });
  expect(await endsOf(v4(10, 244, 1, 3), v4(10, 9, 9, 9), 777)).toMatchObject({
    source: 'unknown',
    message: expect.stringMatching(/^10\.9\.9\.9 reset/),
  });
  expect(await endsOf(v4(10, 244, 1, 3), v4(10, 244, 1, 5), 4104)).toMatchObject({ message: expect.stringMatching(/^nginx\[9\] reset/) });
});

test('what one node tells is kept up to a bound over all its namespaces and Pods, and ends make room again', () => {
  const identity = new NodeIdentity();
  const addresses = Array.from({ length: 50_000 }, (_, at) => v4(10, 0, at >> 8, at & 255));
  for (const cookie of [1, 2, 3, 4]) identity.learn({ netns: [netnsOf(cookie, { addresses, toBootNs: cookie === 1 ? second : 0 })] }, 0);
  const kept = () => identity.snapshot().netns.map((netns) => netns.addresses.length);
  expect(kept()).toEqual([50_000, 50_000, 131_072 - 100_000, 0]);
  // The first one is forgotten.
  identity.learn({ netns: [netnsOf(5)] }, 300 * second);
  identity.learn({ netns: [netnsOf(4, { addresses })] }, 300 * second);
  expect(kept()).toEqual([50_000, 131_072 - 100_000, 50_000, 0]);
  const cgroups = Array.from({ length: 4000 }, (_, at) => at + 1);
  const containers = Array.from({ length: 50 }, (_, at) => ({ id: `c${at}`, name: 'app', cgroups }));
  for (const name of ['a', 'b']) identity.learn({ pods: [podOf(name, 1, { containers })] }, 0);
  expect(identity.snapshot().pods.map((pod) => pod.containers.length)).toEqual([50, 0]);
});
