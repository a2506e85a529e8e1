import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CollectorBody } from '../../proto/collect.ts';
import { sizeFromEnvironment } from '../../test/support/random.ts';
import { type Life, podTimeline, type TimelineOptions, type Truth } from '../../test/support/synthetic-pods.ts';
import type { PartitionSnapshot } from './partition-state.ts';
import { identityFault, rawOf, TestPartition } from './test-stream.ts';

interface End {
  kubernetes?: { pod?: { uid: string }; node?: { name: string } };
}

interface PodEvent {
  event: { id: string };
  source: End;
  destination: End & { nat?: { ip: string } };
  kubernetes?: { pod?: { uid: string } };
  container?: { name: string };
  jitterscope: {
    netns: { name?: string };
    peer?: { netns: { name: string } };
    identity: { source: string; destination: string };
  };
}

async function eventsOf(bodies: readonly CollectorBody[]): Promise<PodEvent[]> {
  const partition = await new TestPartition().feed(...bodies.map((body) => rawOf(body)));
  expect(identityFault(partition.state)).toBeUndefined();
  expect(partition.state.dispositions.held).toBe(0);
  return partition.lines.map((line) => JSON.parse(line) as PodEvent);
}

const uidOf = (life: Life): string => `uid-${life.number}`;
const nameOf = (life: Life): string => `ns-${life.number}`;

/** Who the local end must be; a Pod or namespace that nobody ever told is nobody. */
function expectLocal({ local, container }: Truth, { source, kubernetes, container: made, jitterscope }: PodEvent, byInode: boolean): void {
  const by = jitterscope.identity.source;
  expect(source.kubernetes).toEqual(kubernetes);
  const uid = kubernetes?.pod?.uid;
  // Without cookies a namespace is only known by when it had its inode.
  if (byInode && (by === 'ambiguous' || by === 'unknown')) expect(uid).toBeUndefined();
  else if (local.kind === 'pod' || local.kind === 'hostPod') {
    expect(uid).toBe(local.podTold ? uidOf(local) : undefined);
    if (local.podTold) expect([made?.name, by]).toEqual([container, container === undefined ? 'netns' : 'cgroup']);
  } else {
    expect([uid, made]).toEqual([undefined, undefined]);
    if (local.kind === 'host') expect(by).toBe('node');
    else expect([by, jitterscope.netns.name]).toEqual(local.netnsTold ? ['netns', nameOf(local)] : ['unknown', undefined]);
  }
}

type Verdict = 'exact' | 'nobody' | 'open' | 'stale';

/** Whether the far end of an event has the name of somebody; without a name of its own it is who the local end is, or the node. */
function isNamed(life: Life, { local }: Truth, { source, destination, jitterscope }: PodEvent, byInode: boolean): boolean {
  const uid = destination.kubernetes?.pod?.uid;
  const peer = jitterscope.peer?.netns.name;
  if (life.kind === 'host') return uid === undefined && peer === undefined && destination.kubernetes?.node !== undefined;
  if (life === local && peer === undefined) return uid === source.kubernetes?.pod?.uid;
  // Of an inode that two Pods may have had only the namespace is known.
  if (byInode && uid === undefined) return peer === nameOf(life);
  return peer === nameOf(life) && uid === (life.podTold ? uidOf(life) : undefined);
}

/** Who the far end may be: the one who held the address, or nobody by name. */
function expectFar(truth: Truth, event: PodEvent, byInode: boolean): Verdict {
  const { destination, jitterscope } = event;
  const { far, near, stale } = truth;
  const by = jitterscope.identity.destination;
  expect(destination.nat !== undefined).toBe(truth.translated);
  if (by === 'ambiguous' || by === 'external') {
    expect([destination.kubernetes, jitterscope.peer]).toEqual([undefined, undefined]);
    if (by === 'ambiguous') expect(near.length).toBeGreaterThan(1);
    if (by === 'external' && far !== undefined && !stale) expect(near.length > 1 || !far.netnsTold).toBe(true);
    return far === undefined ? 'nobody' : 'open';
  }
  if (stale) return 'stale';
  // Nobody held it: then somebody who did a moment before or behind.
  const may = far === undefined ? near : [far];
  expect(
    may.filter((life) => isNamed(life, truth, event, byInode)),
    `${JSON.stringify(event)} ${truth.bootNs} far ${far?.number} near ${near.map(({ number }) => number)}`,
  ).toHaveLength(1);
  return 'exact';
}

const options = fc.record<TimelineOptions>({
  seed: fc.nat({ max: 2 ** 31 }),
  byInode: fc.boolean(),
  lookBeforeBatch: fc.boolean(),
});

test('whatever comes, goes and is used again, no end ever has a wrong name', async () => {
  const verdicts = { exact: 0, nobody: 0, open: 0, stale: 0 };
  await fc.assert(
    fc.asyncProperty(options, async (one) => {
      const { bodies, truths } = podTimeline(one);
      const events = await eventsOf(bodies);
      expect(events.length).toBe(truths.length);
      for (const event of events) {
        const truth = truths[Number(event.event.id.split('-')[1])];
        expectLocal(truth, event, one.byInode);
        verdicts[expectFar(truth, event, one.byInode)]++;
      }
    }),
    { numRuns: sizeFromEnvironment('JITTERSCOPE_TIMELINES', 400) },
  );
  // Saying nothing would be right, too: most ends must be named.
  expect(verdicts.exact).toBeGreaterThan(3 * verdicts.open);
  expect(verdicts.stale).toBeLessThan(verdicts.exact / 20);
});

test('repeats, other fetches and a checkpoint at any message give the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(options, fc.array(fc.nat(), { maxLength: 5 }), fc.nat(), async (one, again, cut) => {
      const { bodies } = podTimeline(one);
      const whole = await new TestPartition().feed(...bodies.map((body) => rawOf(body)));
      const repeated = new Set(again.map((n) => n % bodies.length));
      const values = bodies.flatMap((body, index) => (repeated.has(index) ? [rawOf(body), rawOf(body)] : [rawOf(body)]));
      const first = await new TestPartition().feed(...values.slice(0, cut % values.length));
      const second = new TestPartition();
      second.state.restore(JSON.parse(JSON.stringify(first.state.snapshot())) as PartitionSnapshot);
      for (const value of values.slice(cut % values.length)) await second.feed(value);
      expect([...first.lines, ...second.lines]).toEqual(whole.lines);
      expect(second.state.snapshot().sessions[0].identity).toEqual(whole.state.snapshot().sessions[0].identity);
    }),
    { numRuns: 60 },
  );
});
