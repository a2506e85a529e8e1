import { expect, test } from 'vitest';
import type { Pod } from '../../proto/collect.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordFields } from '../../schema/record-writer.ts';
import { batchOf, type EventDocument, netnsOf, podOf, rawOf, reset, TestPartition, v4 } from './test-stream.ts';

const second = 1e9;
const hostCgroup = 1;

/** web-0 and db-0 in namespaces of their own, an agent in that of the node, a namespace of nobody; all long known. */
const node = {
  netns: [
    netnsOf(1, { names: [], host: true, addresses: [v4(192, 168, 0, 1)], fromBootNs: 1 }),
    netnsOf(10, { addresses: [v4(10, 244, 1, 2)], fromBootNs: 1 }),
    netnsOf(11, { addresses: [v4(10, 244, 1, 3)], fromBootNs: 1 }),
    netnsOf(12, { names: ['plain'], addresses: [v4(10, 244, 1, 4)], fromBootNs: 1 }),
  ],
  pods: [
    podOf('web-0', 10),
    podOf('db-0', 11),
    podOf('agent', 0, { hostNetwork: true }),
    podOf('blind', 0, { containers: [{ id: 'c-blind', name: 'app', cgroups: [77] }], addresses: [v4(10, 244, 1, 5)] }),
  ],
  nodeCgroups: [hostCgroup],
};
const [web, db, agent, blind] = [1010, 1011, 1000, 77];

async function eventOf(fields: RecordFields, translated?: Uint8Array): Promise<{ event: EventDocument; partition: TestPartition }> {
  const flags = recordFlags.SKB | (fields.cgroup === undefined ? 0 : recordFlags.CGROUP);
  const translations = translated === undefined ? [] : [{ index: 0, address: translated, port: 8080 }];
  const batch = { ...batchOf(0, 1, () => reset({ flags, ts: 60 * second, ...fields })), translations };
  const partition = new TestPartition();
  await partition.feed(rawOf({ seq: 1, keyframe: { identity: node } }), rawOf({ seq: 2, batch }));
  await partition.feed(rawOf({ seq: 3, heartbeat: { bootNs: 70 * second, nextItem: 1 } }));
  return { event: partition.parsed[0], partition };
}

test.each<[string, number, number | undefined, string, string, string | undefined, number]>([
  ['a container in its Pod’s namespace', 10, web, 'cgroup', 'shop/web-0', 'c-web-0', 0],
  ['a process of the node that entered a Pod’s namespace', 10, hostCgroup, 'netns', 'shop/web-0', undefined, 0],
  ['a socket whose cgroup is not told', 10, undefined, 'netns', 'shop/web-0', undefined, 0],
  ['a cgroup below a container that nobody told', 10, 4711, 'netns', 'shop/web-0', undefined, 0],
  ['a container that entered another Pod’s namespace', 10, db, 'netns', 'shop/web-0', undefined, 1],
  ['a hostNetwork container that entered a Pod’s namespace', 10, agent, 'netns', 'shop/web-0', undefined, 1],
  ['a hostNetwork container', 1, agent, 'cgroup', 'shop/agent', 'c-agent', 0],
  ['a daemon of the node', 1, hostCgroup, 'node', 'node1', undefined, 0],
  ['the node’s namespace without a cgroup', 1, undefined, 'node', 'node1', undefined, 0],
  ['a container that entered the node’s namespace', 1, web, 'node', 'node1', undefined, 1],
  ['a cgroup of the node’s namespace that nobody told in time', 1, 4711, 'node', 'node1', undefined, 0],
  ['a namespace of nobody', 12, hostCgroup, 'netns', 'plain', undefined, 0],
  ['a container that entered a namespace of nobody', 12, web, 'netns', 'plain', undefined, 1],
  ['a hostNetwork container that entered a namespace of nobody', 12, agent, 'netns', 'plain', undefined, 1],
  ['a container of a Pod whose namespace the runtime does not tell', 12, blind, 'cgroup', 'shop/blind', 'c-blind', 0],
  ['the same in a namespace that nobody told', 99, blind, 'cgroup', 'shop/blind', 'c-blind', 0],
  ['the same in a namespace that is another Pod’s', 10, blind, 'netns', 'shop/web-0', undefined, 1],
  ['a container in a namespace that nobody told', 99, web, 'unknown', '10.244.1.2', undefined, 0],
])('local end: %s', async (_, net, cgroup, source, name, container, foreignCgroups) => {
  const fields = { net, ...(cgroup === undefined ? {} : { cgroup }) };
  const { event, partition } = await eventOf(fields);
  expect(event.jitterscope.identity.source).toBe(source);
  expect(event.message.split(' ')[0]).toBe(name);
  expect(event.container?.id).toBe(container);
  expect(partition.state.dispositions).toMatchObject({ foreignCgroups, unidentified: source === 'unknown' ? 1 : 0, held: 0 });
  const pod = event.kubernetes?.pod;
  expect(partition.columns).toEqual([pod === undefined ? (name === 'plain' ? 'plain/' : '/') : `shop/${pod.name}`]);
});

test.each<[string, number, number | undefined, Uint8Array, Uint8Array | undefined, string, string]>([
  ['another Pod', 10, undefined, v4(10, 244, 1, 3), undefined, 'ip', 'shop/db-0'],
  ['a Pod whose namespace is not told', 10, undefined, v4(10, 244, 1, 5), undefined, 'ip', 'shop/blind'],
  ['a namespace of nobody', 10, undefined, v4(10, 244, 1, 4), undefined, 'ip', 'plain'],
  ['itself', 10, undefined, v4(10, 244, 1, 2), undefined, 'same', 'shop/web-0'],
  ['loopback', 10, undefined, v4(127, 0, 0, 1), undefined, 'same', 'shop/web-0'],
  ['loopback of a hostNetwork Pod', 1, agent, v4(127, 0, 0, 1), undefined, 'same', 'node1'],
  ['the node’s address for a hostNetwork Pod', 1, agent, v4(192, 168, 0, 1), undefined, 'same', 'node1'],
  ['the node', 10, undefined, v4(192, 168, 0, 1), undefined, 'node', 'node1'],
  ['nobody of this node', 10, undefined, v4(8, 8, 8, 8), undefined, 'external', '8.8.8.8'],
  ['a metadata service', 10, undefined, v4(169, 254, 169, 254), undefined, 'unknown', '169.254.169.254'],
  ['a Pod behind a Service', 10, undefined, v4(10, 96, 0, 1), v4(10, 244, 1, 3), 'nat', 'shop/db-0'],
  ['itself behind a Service', 10, undefined, v4(10, 96, 0, 1), v4(10, 244, 1, 2), 'nat', 'shop/web-0'],
  ['a NodePort by loopback', 1, hostCgroup, v4(127, 0, 0, 1), v4(10, 244, 1, 3), 'nat', 'shop/db-0'],
  ['the node behind a Service', 10, undefined, v4(10, 96, 0, 1), v4(192, 168, 0, 1), 'nat', 'node1'],
  ['somebody else behind a Service', 10, undefined, v4(10, 96, 0, 1), v4(8, 8, 8, 8), 'external', '10.96.0.1'],
  ['a proxy of its own behind a redirect', 10, undefined, v4(8, 8, 8, 8), v4(127, 0, 0, 1), 'nat', 'shop/web-0'],
])('far end: %s', async (_, net, cgroup, daddr, translated, destination, name) => {
  const saddr = net === 1 ? v4(192, 168, 0, 7) : v4(10, 244, 1, 2);
  const { event } = await eventOf({ net, saddr, daddr, ...(cgroup === undefined ? {} : { cgroup }) }, translated);
  expect(event.jitterscope.identity.destination).toBe(destination);
  expect(event.message).toMatch(new RegExp(`reset a connection from ${name.replaceAll('.', '\\.')}$`));
  expect(event.destination.kubernetes?.pod?.name).toBe(name.startsWith('shop/') ? name.slice(5) : undefined);
  expect(event.destination.nat?.port).toBe(translated === undefined ? undefined : 8080);
});

/** Heartbeats and identities of a node whose runtime has told Pods. */
const runtime = { seq: 1, keyframe: { identity: { netns: [netnsOf(1, { host: true })], pods: [podOf('old', 9)], nodeCgroups: [1] } } };
const recordOf = (seq: number, fields: RecordFields) => rawOf({ seq, batch: batchOf(seq - 10, 1, () => reset(fields)) });
const tellNetns = (seq: number, from: number, more = {}) =>
  rawOf({ seq, identity: { netns: [netnsOf(20, { names: ['cni-1'], fromBootNs: from * second, ...more })] } });
const tellPod = (seq: number, more: Partial<Pod> = {}) => rawOf({ seq, identity: { pods: [podOf('web-0', 20, more)] } });
const beat = (seq: number, at: number) => rawOf({ seq, heartbeat: { bootNs: at * second } });
const seen = (partition: TestPartition) => partition.parsed.map(({ message }) => message.split(' ')[0]);

test('a record of a young namespace waits for its Pod, and goes on at once when that is told', async () => {
  const partition = await new TestPartition().feed(rawOf(runtime), tellNetns(2, 50), recordOf(10, { net: 20, ts: 50.5 * second }));
  expect(partition.state.dispositions).toMatchObject({ held: 1, events: 0 });
  await partition.feed(tellPod(11));
  expect(seen(partition)).toEqual(['shop/web-0']);
  // Now that it is known nothing waits.
  await partition.feed(recordOf(12, { net: 20, ts: 50.6 * second }));
  expect(seen(partition)).toHaveLength(2);
});

test('a namespace that has no Pod after three seconds is one of nobody', async () => {
  const partition = await new TestPartition().feed(rawOf(runtime), tellNetns(2, 50), recordOf(10, { net: 20, ts: 52.9 * second }));
  await partition.feed(beat(11, 52.99));
  expect(seen(partition)).toEqual([]);
  await partition.feed(beat(12, 53));
  expect(seen(partition)).toEqual(['cni-1']);
  await partition.feed(recordOf(13, { net: 20, ts: 53.1 * second }));
  expect(seen(partition)).toHaveLength(2);
  expect(partition.state.dispositions).toMatchObject({ held: 0, unidentified: 0 });
});

test('a record that waited for its namespace goes on waiting for the Pod', async () => {
  const partition = await new TestPartition().feed(rawOf(runtime), recordOf(10, { net: 20, ts: 50 * second }), tellNetns(11, 50.8));
  expect(partition.state.dispositions.held).toBe(1);
  await partition.feed(beat(12, 53.5));
  expect(partition.state.dispositions.held).toBe(1);
  await partition.feed(tellPod(13));
  expect(seen(partition)).toEqual(['shop/web-0']);
});

test('a namespace that says it begins in the future does not make records wait for ever', async () => {
  const partition = await new TestPartition().feed(rawOf(runtime), tellNetns(2, 1e6), recordOf(10, { net: 20, ts: 50 * second }));
  await partition.feed(beat(11, 55));
  expect(seen(partition)).toEqual(['cni-1']);
});

test('where no runtime tells Pods nothing waits', async () => {
  const partition = await new TestPartition().feed(tellNetns(2, 50), recordOf(10, { net: 20, ts: 50.5 * second }));
  expect(seen(partition)).toEqual(['cni-1']);
});

test('a far end in a young namespace is waited for, too', async () => {
  const partition = await new TestPartition().feed(
    rawOf({ seq: 1, keyframe: { identity: node } }),
    tellNetns(2, 50, { addresses: [v4(10, 244, 1, 9)] }),
    recordOf(10, { net: 10, ts: 50.5 * second, daddr: v4(10, 244, 1, 9) }),
  );
  expect(partition.lines).toEqual([]);
  await partition.feed(tellPod(11));
  expect(partition.parsed[0].destination.kubernetes?.pod?.name).toBe('web-0');
});

test('a cgroup of the node’s namespace that may be a hostNetwork Pod’s is waited for, behind a translation, too', async () => {
  const flags = recordFlags.CGROUP;
  const batch = {
    ...batchOf(0, 1, () => reset({ net: 1, ts: 50 * second, flags, cgroup: 55, daddr: v4(10, 96, 0, 1) })),
    translations: [{ index: 0, address: v4(8, 8, 8, 8), port: 53 }],
  };
  const partition = await new TestPartition().feed(rawOf(runtime), rawOf({ seq: 10, batch }));
  expect(partition.lines).toEqual([]);
  const containers = [{ id: 'c', name: 'app', cgroups: [55] }];
  await partition.feed(rawOf({ seq: 11, identity: { pods: [podOf('agent', 0, { hostNetwork: true, containers })] } }));
  expect(seen(partition)).toEqual(['shop/agent']);
  expect(partition.parsed[0].destination.nat).toEqual({ ip: '8.8.8.8', port: 53 });
  // A cgroup of the node is told as such: nothing to wait for any more.
  await partition.feed(recordOf(12, { net: 1, ts: 51 * second, flags, cgroup: 56 }), rawOf({ seq: 13, identity: { nodeCgroups: [56] } }));
  expect(seen(partition)).toEqual(['shop/agent', 'node1']);
});

test('an address counts from when a namespace got it to when it lost it', async () => {
  const address = v4(10, 244, 1, 9);
  const held = (from: number, to: number) => ({ addressIntervals: [{ address, fromBootNs: from * second, toBootNs: to * second }] });
  const partition = await new TestPartition().feed(
    rawOf({
      seq: 1,
      keyframe: {
        identity: {
          netns: [
            netnsOf(10, { names: ['reader'], fromBootNs: 1 }),
            netnsOf(20, { names: ['first'], fromBootNs: 1, ...held(10, 20) }),
            netnsOf(21, { names: ['second'], fromBootNs: 1, ...held(19, 0) }),
          ],
        },
      },
    }),
    rawOf({
      seq: 10,
      batch: batchOf(0, 6, (item) => reset({ net: 10, daddr: address, ts: [9.9, 10, 18.9, 19, 19.9, 20][item] * second })),
    }),
  );
  expect(partition.parsed.map(({ jitterscope }) => jitterscope.peer?.netns.name ?? jitterscope.identity.destination)).toEqual([
    'external',
    'first',
    'first',
    'ambiguous',
    'ambiguous',
    'second',
  ]);
});
