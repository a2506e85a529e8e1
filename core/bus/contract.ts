import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Bus, Fetch, Hole } from './bus.ts';

/** A bus under test. */
export interface BusUnderTest {
  readonly bus: Bus;
  /** Closes the bus if it is open, and opens it again on the same data. */
  reopen(): Promise<Bus>;
  /** What keeps its messages stops answering, until the function that this resolves with is called. */
  stall(): Promise<() => Promise<void>>;
  /** Closes the bus and removes its data. */
  destroy(): Promise<void>;
}

/** The topics that a bus under test must have: every test uses partitions or groups of its own. */
export const CONTRACT_TOPICS = [
  { name: 'contract.one', partitions: 1, maxBytes: 256 * 1024 * 1024, retain: 'checkpoint' },
  { name: 'contract.many', partitions: 4, maxBytes: 256 * 1024 * 1024, retain: 'oldest' },
] as const;

/** Generous: a cluster's rebalance takes seconds. */
const LIMIT_MS = 60_000;
const LARGE_BYTES = 3 * 1024 * 1024;

/** What every adapter of the bus must do. Nothing in here may be true of a local file only. */
export function busContract(name: string, openBus: () => Promise<BusUnderTest>): void {
  describe(`bus contract: ${name}`, { timeout: LIMIT_MS * 2 }, () => {
    let under: BusUnderTest;
    let bus: Bus;
    beforeAll(async () => {
      under = await openBus();
      bus = under.bus;
    }, LIMIT_MS);
    afterAll(() => under.destroy(), LIMIT_MS);

    const one = 'contract.one';
    const many = 'contract.many';
    let groups = 0;
    const newGroup = (): string => `contract-${process.pid}-${Date.now()}-${groups++}`;
    const nextOf = async (topic: string, partition: number): Promise<number> => (await bus.offsets(topic, partition)).next;

    test('says how many partitions a topic has', () => {
      expect(bus.partitions(one)).toBe(1);
      expect(bus.partitions(many)).toBe(4);
    });

    test('refuses an unknown topic and a partition that does not exist', async () => {
      await expect(bus.append('contract.none', 0, [text('x')])).rejects.toMatchObject({ code: 'BUS_TOPIC' });
      await expect(bus.append(many, 4, [text('x')])).rejects.toMatchObject({ code: 'BUS_PARTITION' });
    });

    test('refuses a message over 8 MiB, and appends nothing of that call', async () => {
      const before = await nextOf(one, 0);
      await expect(bus.append(one, 0, [text('small'), new Uint8Array(8 * 1024 * 1024 + 1)])).rejects.toMatchObject({
        code: 'BUS_MESSAGE_TOO_LARGE',
        retryable: false,
      });
      expect(await nextOf(one, 0)).toBe(before);
    });

    test('hands out rising offsets in the order of the calls, and reads back the same bytes', async () => {
      const from = await nextOf(one, 0);
      const calls = await Promise.all([['a', 'b'], ['c'], ['', 'd', 'e']].map((values) => bus.append(one, 0, values.map(text))));
      expect(calls).toEqual([from, from + 2, from + 3]);
      const read = await readAll(bus, one, 0, from, from + 6);
      expect(read.values).toEqual(['a', 'b', 'c', '', 'd', 'e']);
      expect(read.offsets).toEqual([0, 1, 2, 3, 4, 5].map((index) => from + index));
      expect(read.holes).toEqual([]);
    });

    test('reads a large message whole, whatever size of fetch was asked for', async () => {
      const large = new Uint8Array(LARGE_BYTES).map((_, index) => (index * 31) & 255);
      const offset = await bus.append(one, 0, [text('before'), large, text('after')]);
      const seen: Uint8Array[] = [];
      for await (const fetch of bus.read(one, 0, offset, { until: offset + 3, maxBytes: 64 * 1024 })) {
        for (const message of fetch.messages) seen.push(Uint8Array.from(message.value));
      }
      expect(seen).toHaveLength(3);
      expect(Buffer.compare(seen[1], large)).toBe(0);
    });

    test('keeps partitions apart', async () => {
      const starts = await Promise.all([0, 1, 2, 3].map((partition) => nextOf(many, partition)));
      await Promise.all(starts.map((_, partition) => bus.append(many, partition, [text(`p${partition}`)])));
      for (const [partition, from] of starts.entries()) {
        expect((await readAll(bus, many, partition, from, from + 1)).values).toEqual([`p${partition}`]);
      }
    });

    test('a reader without an end waits for what comes, and ends when its signal aborts', async () => {
      const from = await nextOf(one, 0);
      const stop = new AbortController();
      const seen: string[] = [];
      const reading = (async () => {
        for await (const fetch of bus.read(one, 0, from, { signal: stop.signal }))
          seen.push(...fetch.messages.map(({ value }) => String(Buffer.from(value))));
      })();
      for (const value of ['1', '2', '3']) {
        await bus.append(one, 0, [text(value)]);
        await until(() => seen.at(-1) === value);
      }
      stop.abort();
      await reading;
      expect(seen).toEqual(['1', '2', '3']);
    });

    test('readers of one partition do not disturb each other', async () => {
      const from = await bus.append(
        one,
        0,
        Array.from({ length: 200 }, (_, index) => text(`m${index}`)),
      );
      const reads = await Promise.all([from, from + 50, from + 199].map((start) => readAll(bus, one, 0, start, from + 200)));
      expect(reads.map(({ values }) => values.length)).toEqual([200, 150, 1]);
      expect(reads[1].values[0]).toBe('m50');
    });

    test('a group that never committed has no commit; then the last one, with its metadata', async () => {
      const group = newGroup();
      const next = (await bus.append(many, 2, [text('x'), text('y')])) + 2;
      expect(await bus.committed(group, many, 2)).toBeUndefined();
      await bus.commit(group, many, 2, { offset: next - 1, metadata: 'origin 12:3' });
      await bus.commit(group, many, 2, { offset: next, metadata: 'größer' });
      expect(await bus.committed(group, many, 2)).toEqual({ offset: next, metadata: 'größer' });
      expect(await bus.committed(group, many, 1)).toBeUndefined();
    });

    test('refuses metadata over 4 KiB', async () => {
      const refused = bus.commit(newGroup(), one, 0, { offset: 0, metadata: 'ä'.repeat(2049) });
      await expect(refused).rejects.toMatchObject({ code: 'BUS_METADATA_TOO_LARGE', retryable: false });
    });

    test('a consumer starts at the earliest offset, or at the commit, or where it says', async () => {
      const group = newGroup();
      const next = (await bus.append(one, 0, [text('k'), text('l'), text('m')])) + 3;
      const firsts: number[] = [];
      for (const choice of [undefined, next - 2, undefined]) {
        const consumer = await bus.consume({
          group,
          topic: one,
          assigned: async () => choice,
          handle: async (fetch) => void firsts.push(...fetch.messages.slice(0, 1).map(({ offset }) => offset)),
        });
        const seen = firsts.length;
        await until(() => firsts.length > seen);
        await consumer.commit(0, { offset: next - 1, metadata: '' });
        await consumer.close();
        await consumer.finished;
        firsts.splice(seen + 1);
      }
      expect(firsts).toEqual([(await bus.offsets(one, 0)).earliest, next - 2, next - 1]);
    });

    test('a group goes on where it committed; what was not committed comes again', async () => {
      const group = newGroup();
      const from = await nextOf(many, 3);
      await bus.commit(group, many, 3, { offset: from, metadata: '' });
      await bus.append(many, 3, ['1', '2', '3', '4'].map(text));
      const runs: string[][] = [];
      for (let run = 0; run < 2; run++) {
        const seen: string[] = [];
        const consumer = await bus.consume({
          group,
          topic: many,
          handle: async (fetch) => {
            if (fetch.partition === 3) seen.push(...fetch.messages.map(({ value }) => String(Buffer.from(value))));
          },
        });
        await until(() => seen.length === 4 - 2 * run);
        await consumer.commit(3, { offset: from + 2, metadata: '' });
        await consumer.close();
        runs.push(seen);
      }
      expect(runs).toEqual([
        ['1', '2', '3', '4'],
        ['3', '4'],
      ]);
    });

    test('one handle at a time per partition, and the next one after it resolved', async () => {
      let running = 0;
      let most = 0;
      let handled = 0;
      const from = await nextOf(one, 0);
      const consumer = await bus.consume({
        group: newGroup(),
        topic: one,
        assigned: async () => from,
        handle: async (fetch) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 5));
          handled += fetch.messages.length;
          running--;
        },
      });
      for (let count = 0; count < 10; count++) await bus.append(one, 0, [text('x')]);
      await until(() => handled === 10);
      expect(most).toBe(1);
      await consumer.close();
    });

    test('lag is what was appended and not committed', async () => {
      const group = newGroup();
      const next = (await bus.append(one, 0, [text('x'), text('y')])) + 2;
      await bus.commit(group, one, 0, { offset: next - 2, metadata: '' });
      let assigned = false;
      const consumer = await bus.consume({ group, topic: one, handle: async () => void (assigned = true) });
      await until(() => assigned);
      expect(await consumer.lag()).toEqual(new Map([[0, 2]]));
      await consumer.commit(0, { offset: next, metadata: '' });
      expect(await consumer.lag()).toEqual(new Map([[0, 0]]));
      await consumer.close();
    });

    test('members of a group share the partitions, and take over when one leaves', async () => {
      const group = newGroup();
      const held = [new Set<number>(), new Set<number>()];
      const member = (index: number) =>
        bus.consume({
          group,
          topic: many,
          assigned: async (partition, committed) => {
            held[index].add(partition);
            return committed?.offset;
          },
          handle: async () => undefined,
          revoked: async (partition) => void held[index].delete(partition),
        });
      const first = await member(0);
      await until(() => held[0].size === 4);
      const second = await member(1);
      await until(() => held[0].size === 2 && held[1].size === 2);
      expect(new Set([...held[0], ...held[1]])).toEqual(new Set([0, 1, 2, 3]));
      await first.close();
      await until(() => held[1].size === 4);
      expect(held[0].size).toBe(0);
      await second.close();
    });

    test('groups do not share: each gets everything', async () => {
      const from = await nextOf(one, 0);
      const seen = [0, 0];
      const consumers = await Promise.all(
        seen.map((_, index) =>
          bus.consume({
            group: newGroup(),
            topic: one,
            assigned: async () => from,
            handle: async (fetch) => void (seen[index] += fetch.messages.length),
          }),
        ),
      );
      await bus.append(one, 0, [text('x'), text('y'), text('z')]);
      await until(() => seen[0] === 3 && seen[1] === 3);
      await Promise.all(consumers.map((consumer) => consumer.close()));
    });

    test('a handler that rejects ends its consumer, not the bus', async () => {
      const from = await nextOf(one, 0);
      const consumer = await bus.consume({
        group: newGroup(),
        topic: one,
        assigned: async () => from,
        handle: () => Promise.reject(new Error('broken sink')),
      });
      await bus.append(one, 0, [text('x')]);
      await expect(consumer.finished).rejects.toThrow('broken sink');
      await consumer.close();
      expect((await readAll(bus, one, 0, from, from + 1)).values).toEqual(['x']);
    });

    test('close lets the running handle end; after the grace its signal aborts', async () => {
      const from = await bus.append(one, 0, [text('x')]);
      let started = false;
      let aborted = false;
      const consumer = await bus.consume({
        group: newGroup(),
        topic: one,
        assigned: async () => from,
        handle: (_, signal) =>
          new Promise((_resolve, reject) => {
            started = true;
            signal.addEventListener('abort', () => {
              aborted = true;
              reject(new Error('aborted'));
            });
          }),
      });
      await until(() => started);
      await consumer.close(50);
      await consumer.finished;
      expect(aborted).toBe(true);
    });

    test('what was appended and committed is there after closing and opening again', async () => {
      const group = newGroup();
      const from = await bus.append(one, 0, ['p', 'q', 'r'].map(text));
      await bus.commit(group, one, 0, { offset: from + 1, metadata: 'kept' });
      const next = await nextOf(one, 0);
      bus = await under.reopen();
      expect(await nextOf(one, 0)).toBe(next);
      expect(await bus.committed(group, one, 0)).toEqual({ offset: from + 1, metadata: 'kept' });
      expect((await readAll(bus, one, 0, from, from + 3)).values).toEqual(['p', 'q', 'r']);
      expect(await bus.append(one, 0, [text('s')])).toBeGreaterThanOrEqual(next);
    });

    test('close ends in its time, whatever does not answer: what is not durable by then is rejected', async () => {
      const from = await bus.append(one, 0, [text('kept')]);
      let handled = 0;
      await bus.consume({ group: newGroup(), topic: one, assigned: async () => from, handle: async () => void handled++ });
      await until(() => handled > 0);
      const resume = await under.stall();
      try {
        const appended = bus.append(one, 0, [text('late')]).then(
          () => 'durable',
          ({ code }: { code: string }) => code,
        );
        await bus.close(500);
        expect(await appended).toBe('BUS_CLOSED');
      } finally {
        await resume();
        bus = await under.reopen();
      }
      expect((await readAll(bus, one, 0, from, from + 1)).values).toEqual(['kept']);
    });
  });
}

/** What a bounded read gave, as text. */
export interface ReadResult {
  readonly values: string[];
  readonly offsets: number[];
  readonly holes: Hole[];
}

/** Reads a range of a partition to its end. */
export async function readAll(bus: Bus, topic: string, partition: number, from: number, to: number): Promise<ReadResult> {
  const result: ReadResult = { values: [], offsets: [], holes: [] };
  for await (const fetch of bus.read(topic, partition, from, { until: to })) collect(result, fetch);
  return result;
}

function collect(result: ReadResult, fetch: Fetch): void {
  for (const { offset, value } of fetch.messages) {
    result.offsets.push(offset);
    result.values.push(Buffer.from(value).toString('utf8'));
  }
  result.holes.push(...fetch.holes);
}

/** Waits for a condition, up to a generous limit. */
export async function until(condition: () => boolean): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`condition not met: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The bytes of a text. */
export function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8');
}
