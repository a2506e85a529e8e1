import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AppError } from '../app-error.ts';
import type { BusObserver, Hole, TopicSpec } from './bus.ts';
import { readAll, text } from './contract.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';
import { FrameHeader, HEADER_BYTES } from './frame.ts';

type Loss = Parameters<NonNullable<BusObserver['lost']>>[0];

const topic: TopicSpec = { name: 't', partitions: 1, maxBytes: 64 * 1024 * 1024, retain: 'checkpoint' };
const MESSAGES = 41;
const SEGMENT_BYTES = 1500;
let root: string;
let files: string[];
/** Each message's place: which file, from and to which byte. */
let frames: { file: string; from: number; to: number }[];

beforeAll(async () => {
  root = await mkdtemp(`${tmpdir()}/jitterscope-damage-`);
  const log = await openEmbeddedLog({ dir: `${root}/whole`, topics: [topic], commitMs: 0, segmentBytes: SEGMENT_BYTES });
  let next = 0;
  for (let group = 1; next < MESSAGES; group = (group % 4) + 1) {
    const values = Array.from({ length: Math.min(group, MESSAGES - next) }, (_, index) => text(messageOf(next + index)));
    next += values.length;
    await log.append('t', 0, values);
  }
  await log.close();
  files = (await readdir(`${root}/whole/t/0`)).sort();
  expect(files.length).toBeGreaterThan(3);
  frames = [];
  for (const file of files) {
    const bytes = await readFile(`${root}/whole/t/0/${file}`);
    const header = new FrameHeader();
    for (let at = 0; at < bytes.length; at += HEADER_BYTES + header.length) {
      expect(header.read(bytes, at)).toBe(true);
      if (!header.groupEnd) frames[header.offset] = { file, from: at, to: at + HEADER_BYTES + header.length };
    }
  }
  expect(frames).toHaveLength(MESSAGES);
});

afterAll(() => rm(root, { recursive: true }));

test('whatever bytes are flipped: all other messages are read, in order, the holes are exact, and no offset is given out twice', {
  timeout: 600_000,
}, async () => {
  const shape = { bits: fc.integer({ min: 1, max: 255 }), run: fc.integer({ min: 1, max: 60 }) };
  const anywhere = fc.record({ file: fc.nat(), at: fc.nat(), ...shape });
  // The end of the log is where damage and a write that was cut short look alike.
  const atTheEnd = fc.record({
    file: fc.constant(files.length - 1),
    at: fc.integer({ min: -(frames[MESSAGES - 1].to - frames[MESSAGES - 1].from + HEADER_BYTES), max: -1 }),
    ...shape,
  });
  const flip = fc.oneof(anywhere, atTheEnd);
  await fc.assert(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 4 }), async (flips) => {
      await withCopy(async (dir) => {
        const original = new Map<string, Buffer>();
        const changed = new Map<string, Buffer>();
        for (const { file, at, bits, run } of flips) {
          const name = files[file % files.length];
          const bytes = changed.get(name) ?? (await readFile(`${dir}/t/0/${name}`));
          original.set(name, original.get(name) ?? Buffer.from(bytes));
          changed.set(name, bytes);
          const start = (at + bytes.length) % bytes.length;
          for (let index = start; index < Math.min(bytes.length, start + run); index++) bytes[index] ^= bits;
        }
        for (const [name, bytes] of changed) await writeFile(`${dir}/t/0/${name}`, bytes);
        // Flips may undo each other.
        const hit = (file: string, from: number, to: number): boolean => {
          const now = changed.get(file);
          return now !== undefined && Buffer.compare(now.subarray(from, to), original.get(file)?.subarray(from, to) ?? now) !== 0;
        };
        const lost = frames.flatMap(({ file, from, to }, offset) => (hit(file, from, to) ? [offset] : []));
        const last = frames[MESSAGES - 1];
        const endUnknown = hit(last.file, last.from, last.from + HEADER_BYTES) && hit(last.file, last.to, last.to + HEADER_BYTES);
        await opened(dir, async (log, losses) => {
          const { next } = await log.offsets('t', 0);
          if (endUnknown) expect(next).toBeGreaterThanOrEqual(MESSAGES);
          else expect(next).toBe(MESSAGES);
          const read = await readAll(log, 't', 0, 0, next);
          const whole = frames.flatMap((_, offset) => (lost.includes(offset) ? [] : [offset]));
          expect(read.offsets).toEqual(whole);
          expect(read.values).toEqual(whole.map(messageOf));
          const holes = read.holes.flatMap(offsetsOf);
          expect(holes.filter((offset) => offset < MESSAGES)).toEqual(lost);
          expect(new Set(read.holes.map(({ reason }) => reason)).size).toBe(lost.length > 0 ? 1 : 0);
          expect(sum(losses, 'damaged')).toBe(holes.length);
          expect(await log.append('t', 0, [text('after')])).toBe(next);
          expect((await readAll(log, 't', 0, next, next + 1)).values).toEqual(['after']);
          // A second reader meets the same holes; they count once.
          await readAll(log, 't', 0, 0, next);
          expect(sum(losses, 'damaged')).toBe(holes.length);
        });
        await opened(dir, async (log) => {
          const { next } = await log.offsets('t', 0);
          const read = await readAll(log, 't', 0, 0, next);
          expect(read.values.at(-1)).toBe('after');
          expect(read.holes.flatMap(offsetsOf).filter((offset) => offset < MESSAGES)).toEqual(lost);
        });
      });
    }),
    { numRuns: 250 },
  );
});

test('a write cut short at any byte loses only what was not whole, and says how many bytes', { timeout: 600_000 }, async () => {
  const { file, from, to } = frames[MESSAGES - 1];
  const path = (dir: string): string => `${dir}/t/0/${file}`;
  for (let length = from; length <= to + HEADER_BYTES; length++) {
    await withCopy(async (dir) => {
      await truncate(path(dir), length);
      await opened(dir, async (log, losses) => {
        const whole = length >= to ? MESSAGES : MESSAGES - 1;
        expect((await log.offsets('t', 0)).next).toBe(whole);
        const read = await readAll(log, 't', 0, 0, whole);
        expect(read).toMatchObject({ values: Array.from({ length: whole }, (_, offset) => messageOf(offset)), holes: [] });
        const torn = length < to ? length - from : length < to + HEADER_BYTES ? length - to : 0;
        expect(losses).toEqual(torn === 0 ? [] : [{ topic: 't', partition: 0, reason: 'torn_tail', messages: 0, bytes: torn }]);
        expect(await log.append('t', 0, [text('again')])).toBe(whole);
        expect((await readAll(log, 't', 0, whole, whole + 1)).values).toEqual(['again']);
      });
    });
  }
});

test('a file that was extended but not filled is cut back', async () => {
  const { file, to } = frames[MESSAGES - 1];
  await withCopy(async (dir) => {
    await truncate(`${dir}/t/0/${file}`, to + HEADER_BYTES + 10_000);
    await opened(dir, async (log, losses) => {
      expect((await log.offsets('t', 0)).next).toBe(MESSAGES);
      expect(losses).toMatchObject([{ reason: 'torn_tail', bytes: 10_000 }]);
    });
  });
});

test('an older segment that was cut or emptied is a hole up to the next one', async () => {
  for (const [index, keep] of [
    [1, 100],
    [1, 0],
    [0, 37],
  ] as const) {
    await withCopy(async (dir) => {
      await truncate(`${dir}/t/0/${files[index]}`, keep);
      const lost = frames.flatMap(({ file, to }, offset) => (file === files[index] && to > keep ? [offset] : []));
      await opened(dir, async (log) => {
        const read = await readAll(log, 't', 0, 0, MESSAGES);
        expect(read.holes).toEqual([{ from: lost[0], to: lost[lost.length - 1] + 1, reason: 'damaged' }]);
        expect(read.offsets).toHaveLength(MESSAGES - lost.length);
      });
    });
  }
});

test('an old frame inside the value of a message whose header is damaged is not taken for a message', async () => {
  await withCopy(async (dir) => {
    const { file, from, to } = frames[1];
    const old = (await readFile(`${dir}/t/0/${file}`)).subarray(from, to);
    let first = 0;
    await opened(dir, async (log) => void (first = await log.append('t', 0, [text('x'), Buffer.concat([old, old, old]), text('y')])));
    const active = `${dir}/t/0/${(await readdir(`${dir}/t/0`)).sort().at(-1) ?? ''}`;
    const bytes = await readFile(active);
    bytes[bytes.indexOf(old) - 1] ^= 1;
    await writeFile(active, bytes);
    await opened(dir, async (log) => {
      expect(await readAll(log, 't', 0, first, first + 3)).toEqual({
        values: ['x', 'y'],
        offsets: [first, first + 2],
        holes: [{ from: first + 1, to: first + 2, reason: 'damaged' }],
      });
    });
  });
});

test('a reader that starts in the middle of damage is told only of its own part', async () => {
  await withCopy(async (dir) => {
    const { file, from } = frames[0];
    const bytes = await readFile(`${dir}/t/0/${file}`);
    bytes.fill(0xff, from, frames[3].to);
    await writeFile(`${dir}/t/0/${file}`, bytes);
    await opened(dir, async (log) => {
      expect(await readAll(log, 't', 0, 2, 6)).toEqual({
        values: [4, 5].map(messageOf),
        offsets: [4, 5],
        holes: [{ from: 2, to: 4, reason: 'damaged' }],
      });
    });
  });
});

test('an end of the log that was lost is noticed by what a group has committed', async () => {
  await withCopy(async (dir) => {
    await opened(dir, (log) => log.commit('g', 't', 0, { offset: MESSAGES, metadata: '' }));
    await truncate(`${dir}/t/0/${frames[MESSAGES - 1].file}`, frames[MESSAGES - 1].from);
    await opened(dir, async (log, losses) => {
      expect((await log.offsets('t', 0)).next).toBe(MESSAGES);
      expect((await readAll(log, 't', 0, MESSAGES - 2, MESSAGES)).holes).toEqual([{ from: MESSAGES - 1, to: MESSAGES, reason: 'damaged' }]);
      expect(sum(losses, 'damaged')).toBe(1);
      expect(await log.append('t', 0, [text('new')])).toBe(MESSAGES);
      const read = await readAll(log, 't', 0, MESSAGES - 2, MESSAGES + 1);
      expect(read.values).toEqual([messageOf(MESSAGES - 2), 'new']);
      expect(read.holes).toEqual([{ from: MESSAGES - 1, to: MESSAGES, reason: 'damaged' }]);
    });
    await opened(dir, async (log) => expect((await log.offsets('t', 0)).next).toBe(MESSAGES + 1));
  });
});

test('bytes damaged under a running reader are a hole, and it goes on with what is appended', async () => {
  await withCopy(async (dir) => {
    await opened(dir, async (log) => {
      const first = await log.append('t', 0, ['a', 'b', 'c'].map(text));
      const active = `${dir}/t/0/${(await readdir(`${dir}/t/0`)).sort().at(-1) ?? ''}`;
      const bytes = await readFile(active);
      bytes.fill(0xee, bytes.length - 3 * (HEADER_BYTES + 1) - HEADER_BYTES);
      await writeFile(active, bytes);
      expect((await readAll(log, 't', 0, first, first + 3)).holes).toEqual([{ from: first, to: first + 3, reason: 'damaged' }]);
      await log.append('t', 0, [text('d')]);
      expect((await readAll(log, 't', 0, first, first + 4)).values).toEqual(['d']);
    });
  });
});

test('files that are not ours stay and do not disturb; leftovers of a crash go', async () => {
  await withCopy(async (dir) => {
    await writeFile(`${dir}/t/0/notes.txt`, 'hello');
    await writeFile(`${dir}/t/0/99999999999999999999.log`, 'too large a number');
    await writeFile(`${dir}/t/0/12.log`, 'too short a name');
    await mkdir(`${dir}/t/0/00000000000000000001.log`);
    await mkdir(`${dir}/t/lost+found`);
    await writeFile(`${dir}/t/topic.json.tmp`, '{"vers');
    await mkdir(`${dir}/groups`, { recursive: true });
    await writeFile(`${dir}/groups/g.json.tmp`, '{');
    await writeFile(`${dir}/groups/README`, 'hello');
    await opened(dir, async (log) => expect((await readAll(log, 't', 0, 0, MESSAGES)).offsets).toHaveLength(MESSAGES));
    expect(await readdir(`${dir}/t/0`)).toEqual(expect.arrayContaining(['notes.txt', '99999999999999999999.log', '12.log']));
    expect((await readdir(`${dir}/t`)).includes('topic.json.tmp')).toBe(false);
    expect((await readdir(`${dir}/groups`)).includes('g.json.tmp')).toBe(false);
  });
});

test('a file of commits that is damaged is put aside and reported, and counts as no commit', async () => {
  await withCopy(async (dir) => {
    await opened(dir, async (log) => {
      await log.commit('g', 't', 0, { offset: 17, metadata: 'm' });
      await log.commit('h', 't', 0, { offset: 18, metadata: '' });
      await log.commit('i', 't', 0, { offset: 19, metadata: '' });
    });
    const commits = await readFile(`${dir}/groups/g.json`, 'utf8');
    await writeFile(`${dir}/groups/g.json`, commits.replace('17', '37'));
    await writeFile(`${dir}/groups/i.json`, '');
    await opened(dir, async (log, _, warnings) => {
      expect(await log.committed('g', 't', 0)).toBeUndefined();
      expect(await log.committed('h', 't', 0)).toEqual({ offset: 18, metadata: '' });
      expect(await log.committed('i', 't', 0)).toBeUndefined();
      expect(warnings.map(({ code }) => code)).toEqual(['BUS_GROUP_FILE', 'BUS_GROUP_FILE']);
      await log.commit('g', 't', 0, { offset: 1, metadata: '' });
      expect(await log.committed('g', 't', 0)).toEqual({ offset: 1, metadata: '' });
    });
  });
});

test('another number of partitions than at creation is refused with both numbers, also when the record was lost', async () => {
  await withCopy(async (dir) => {
    const two = openEmbeddedLog({ dir, topics: [{ ...topic, partitions: 2 }] });
    await expect(two).rejects.toMatchObject({ code: 'BUS_PARTITIONS', details: { found: 1, expected: 2 }, exitCode: 78 });
    await writeFile(`${dir}/t/topic.json`, '\0\0\0');
    await opened(dir, async (_log, _losses, warnings) => expect(warnings.map(({ code }) => code)).toEqual(['BUS_TOPIC_RECORD']));
    await opened(dir, async (_log, _losses, warnings) => expect(warnings).toEqual([]));
  });
});

async function withCopy(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(`${root}/copy-`);
  await cp(`${root}/whole`, dir, { recursive: true });
  await body(dir);
  await rm(dir, { recursive: true });
}

async function opened(dir: string, body: (log: EmbeddedLog, losses: Loss[], warnings: AppError[]) => Promise<unknown>): Promise<void> {
  const losses: Loss[] = [];
  const warnings: AppError[] = [];
  const observer: BusObserver = { lost: (loss) => losses.push(loss), warned: (warning) => warnings.push(warning) };
  const log = await openEmbeddedLog({ dir, topics: [topic], commitMs: 0, segmentBytes: SEGMENT_BYTES, observer });
  try {
    await body(log, losses, warnings);
  } finally {
    await log.close();
  }
}

/** Message `offset`: of different lengths, some empty, with the words of a frame in it. */
function messageOf(offset: number): string {
  return offset % 7 === 3 ? '' : `message ${offset} JSLM JSLC `.repeat((offset * 5) % 13);
}

function offsetsOf({ from, to }: Hole): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function sum(losses: readonly Loss[], reason: Loss['reason']): number {
  return losses.filter((loss) => loss.reason === reason).reduce((total, { messages }) => total + messages, 0);
}
