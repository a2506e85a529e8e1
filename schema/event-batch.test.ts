import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../core/app-error.ts';
import { EventBatch } from '../proto/bus.ts';
import { type EventBatchView, eventKinds, severities } from './batch.ts';
import { decodeEventBatch, EventBatchWriter, encodeSingleEvent, joinEventBatches } from './event-batch.ts';

interface Row {
  timeSeconds: number;
  timeNanos: number;
  rawOffset: number;
  ordinal: number;
  idPrefix: string;
  idNumber: number;
  kind: number;
  type: string;
  severity: number;
  namespace: string;
  pod: string;
  node: string;
  podUid: string;
  line: string;
}

const word = fc.oneof(fc.constantFrom('', 'tcpreset', 'shop', 'web-0', 'node1'), fc.string({ unit: 'grapheme', maxLength: 12 }));
const rowArbitrary = fc.record({
  timeSeconds: fc.oneof(
    fc.constantFrom(0, 1, 4_294_967_295, 4_294_967_296, 18_446_744_072),
    fc.integer({ min: 1_700_000_000, max: 2_000_000_000 }),
  ),
  timeNanos: fc.oneof(fc.constantFrom(0, 999_999_999), fc.integer({ min: 0, max: 999_999_999 })),
  rawStep: fc.constantFrom(0, 0, 1, 70_000),
  idPrefix: fc.constantFrom('9c1f0b7a52e4d386', '0000000000000000'),
  idNumber: fc.oneof(fc.constantFrom(0, 4_294_967_296, Number.MAX_SAFE_INTEGER), fc.nat()),
  kind: fc.constantFrom(1, 2),
  severity: fc.constantFrom(1, 2, 3),
  type: word,
  namespace: word,
  pod: word,
  node: word,
  podUid: word,
  line: fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => `${JSON.stringify({ text })}\n`),
});

/** Rows with strictly rising origins. */
const rowsArbitrary = fc.tuple(fc.nat({ max: 2 ** 50 }), fc.array(rowArbitrary, { maxLength: 30 })).map(([base, drafts]) => {
  let rawOffset = base;
  let ordinal = -1;
  return drafts.map(({ rawStep, ...draft }): Row => {
    rawOffset += rawStep;
    ordinal = rawStep === 0 ? ordinal + 1 : 0;
    return { ...draft, rawOffset, ordinal };
  });
});

function write(writer: EventBatchWriter, rows: readonly Row[], firstEvent: number): Uint8Array {
  for (const row of rows) {
    const maxBytes = row.line.length * 3;
    const { buffer, at } = writer.reserve(maxBytes);
    writer.commit(buffer.write(row.line, at));
    writer.add(
      row.timeSeconds,
      row.timeNanos,
      row.rawOffset,
      row.ordinal,
      row.idPrefix,
      row.idNumber,
      row.kind,
      row.type,
      row.severity,
      row.namespace,
      row.pod,
      row.node,
      row.podUid,
    );
  }
  return writer.finish(firstEvent);
}

function readRow(view: EventBatchView, row: number): Row {
  const [idPrefix, idNumber] = view.id(row).split('-') as [string, string];
  return {
    timeSeconds: view.timeSeconds(row),
    timeNanos: view.timeNanos(row),
    rawOffset: view.rawOffset(row),
    ordinal: view.ordinal(row),
    idPrefix,
    idNumber: Number(idNumber),
    kind: eventKinds.indexOf(view.kind(row)),
    type: view.type(row),
    severity: severities.indexOf(view.severity(row)),
    namespace: view.namespace(row),
    pod: view.pod(row),
    node: view.node(row),
    podUid: view.podUid(row),
    line: Buffer.from(view.line(row)).toString(),
  };
}

const rowsOf = (view: EventBatchView) => Array.from({ length: view.count }, (_, row) => readRow(view, row));

test('what is written is read, also by a writer that was used before', () => {
  const writer = new EventBatchWriter(64);
  fc.assert(
    fc.property(rowsArbitrary, fc.nat({ max: 2 ** 50 }), (rows, firstEvent) => {
      writer.reset();
      const bytes = write(writer, rows, firstEvent);
      const view = decodeEventBatch(bytes);
      expect(view.count).toBe(rows.length);
      expect(view.firstEvent).toBe(firstEvent);
      expect(rowsOf(view)).toEqual(rows);
      expect(Buffer.concat(view.blocks(0, view.count)).toString()).toBe(rows.map((row) => row.line).join(''));
      expect(Buffer.compare(write(new EventBatchWriter(), rows, firstEvent), bytes)).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('several batches joined read like their rows in a row', () => {
  fc.assert(
    fc.property(rowsArbitrary, fc.array(fc.nat({ max: 30 }), { maxLength: 4 }), (rows, cuts) => {
      const bounds = [0, ...cuts.map((cut) => Math.min(cut, rows.length)).sort((a, b) => a - b), rows.length];
      const parts = bounds.slice(1).map((end, index) => rows.slice(bounds[index], end));
      let firstEvent = 7;
      const view = joinEventBatches(
        parts.map((part) => {
          const bytes = write(new EventBatchWriter(), part, firstEvent);
          firstEvent += part.length;
          return decodeEventBatch(bytes);
        }),
      );
      expect(rowsOf(view)).toEqual(rows);
      for (let from = 0; from <= rows.length; from++) {
        const to = Math.min(rows.length, from + 5);
        expect(Buffer.concat(view.blocks(from, to)).toString()).toBe(
          rows
            .slice(from, to)
            .map((row) => row.line)
            .join(''),
        );
        if (from === to) continue;
        expect(view.eventNumber(from)).toBe(7 + from);
        expect(view.lineLength(from)).toBe(view.line(from).length);
      }
    }),
    { numRuns: 100 },
  );
});

test('the day of appending is that of the batch, also joined and for one row alone; a batch without one has 0', () => {
  const views = [20_779, 20_780, undefined].map((day, index) => {
    const writer = new EventBatchWriter();
    write(
      writer,
      sample.map((row) => ({ ...row, rawOffset: row.rawOffset + 100 * index })),
      0,
    );
    return decodeEventBatch(writer.finish(index * sample.length, day));
  });
  const joined = joinEventBatches(views);
  const days = [20_779, 20_780, 0];
  for (let row = 0; row < joined.count; row++) {
    const expected = days[Math.floor(row / sample.length)];
    expect(joined.appendedDay(row)).toBe(expected);
    expect(decodeEventBatch(encodeSingleEvent(joined, row)).appendedDay(0)).toBe(expected);
  }
});

test('one row encoded alone keeps everything', () => {
  fc.assert(
    fc.property(rowsArbitrary, (rows) => {
      const view = decodeEventBatch(write(new EventBatchWriter(), rows, 5));
      rows.forEach((row, index) => {
        const single = decodeEventBatch(encodeSingleEvent(view, index));
        expect(rowsOf(single)).toEqual([row]);
        expect(single.firstEvent).toBe(5 + index);
      });
    }),
    { numRuns: 50 },
  );
});

const sample: readonly Row[] = Array.from({ length: 20 }, (_, index) => ({
  timeSeconds: 1_790_000_000,
  timeNanos: index,
  rawOffset: 10 + (index >> 2),
  ordinal: index & 3,
  idPrefix: '9c1f0b7a52e4d386',
  idNumber: index,
  kind: 1,
  type: 'tcpreset',
  severity: 1,
  namespace: 'shop',
  pod: `web-${index}`,
  node: 'node1',
  podUid: index % 3 === 0 ? '' : `uid-${index % 4}`,
  line: `{"n":${index}}\n`,
}));

test('byteLength tells the encoded size within a small margin', () => {
  const writer = new EventBatchWriter();
  const bytes = write(writer, sample, 0);
  expect(Math.abs(writer.byteLength - bytes.length)).toBeLessThan(128);
});

test('a row the format cannot hold is refused', () => {
  const attempt =
    (row: Row, before: readonly Row[] = []) =>
    () =>
      write(new EventBatchWriter(), [...before, row], 0);
  const row = sample[5];
  expect(attempt(row, [row])).toThrow(/rising origins/);
  expect(attempt({ ...row, rawOffset: 3 }, [row])).toThrow(/rising origins/);
  expect(attempt({ ...row, rawOffset: row.rawOffset + 2 ** 32 }, [row])).toThrow(/rising origins/);
  expect(attempt({ ...row, line: '' })).toThrow(/newline/);
  expect(attempt({ ...row, line: '{}' })).toThrow(/newline/);
});

test('an abandoned line leaves no trace', () => {
  const writer = new EventBatchWriter();
  const { buffer, at } = writer.reserve(10);
  writer.commit(buffer.write('{"half":', at));
  writer.abandon();
  expect(rowsOf(decodeEventBatch(write(writer, sample, 0)))).toEqual(sample);
});

const damages: readonly (readonly [string, (body: InstanceType<typeof EventBatch>) => void])[] = [
  [
    'a column too short',
    (body) => {
      body.kind = body.kind.subarray(1);
    },
  ],
  [
    'a column too long',
    (body) => {
      body.pod = Buffer.concat([body.pod, new Uint8Array(2)]);
    },
  ],
  [
    'a count beyond the columns',
    (body) => {
      body.count = 4_294_967_295;
    },
  ],
  [
    'a dictionary index out of range',
    (body) => {
      body.node = new Uint8Array(body.node).fill(255);
    },
  ],
  [
    'an unknown kind',
    (body) => {
      body.kind = new Uint8Array(body.kind).fill(9);
    },
  ],
  [
    'an unknown severity',
    (body) => {
      body.severity = new Uint8Array(body.severity).fill(9);
    },
  ],
  [
    'equal origins',
    (body) => {
      body.origins = new Uint8Array(body.origins.length);
    },
  ],
  [
    'a line offset behind the lines',
    (body) => {
      body.lineOffsets = new Uint8Array(body.lineOffsets).fill(255, 4);
    },
  ],
  [
    'lines without the last newline',
    (body) => {
      body.lines = body.lines.subarray(0, -1);
    },
  ],
  [
    'a second newline in a line',
    (body) => {
      const lines = new Uint8Array(body.lines);
      lines[2] = 10;
      body.lines = lines;
    },
  ],
  [
    'lines without events',
    (body) => {
      const { lines } = body;
      Object.assign(body, new EventBatch(), { lines });
    },
  ],
  [
    'a raw offset beyond 2^53',
    (body) => {
      body.baseRawOffset = 2 ** 60;
    },
  ],
  [
    'a running number beyond 2^53',
    (body) => {
      body.firstEvent = 2 ** 53;
    },
  ],
];

test.each(damages)('%s is refused by code', (_name, damage) => {
  const body = EventBatch.decode(write(new EventBatchWriter(), sample, 3));
  damage(body);
  expect(() => decodeEventBatch(EventBatch.encode(body).finish())).toThrow(expect.objectContaining({ code: 'EVENT_BATCH_INVALID' }));
});

test('100,000 mutated batches are either read whole or refused by code', () => {
  const original = write(new EventBatchWriter(), sample, 3);
  let state = 0x9e3779b9;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let refused = 0;
  for (let round = 0; round < 100_000; round++) {
    let bytes = Uint8Array.from(original);
    for (let flips = 1 + random(4); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
    if (random(4) === 0) bytes = bytes.subarray(0, random(bytes.length));
    let view: EventBatchView;
    try {
      view = decodeEventBatch(bytes);
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.code !== 'EVENT_BATCH_INVALID') throw thrown;
      refused++;
      continue;
    }
    let lineBytes = 0;
    for (let row = 0; row < view.count; row++) {
      if (
        view.id(row) === undefined ||
        view.type(row) === undefined ||
        view.kind(row) === undefined ||
        !Number.isSafeInteger(view.rawOffset(row))
      )
        throw new Error(`row ${row} unreadable`);
      if (!(view.timeNanos(row) < 1e9) || !Number.isSafeInteger(view.timeSeconds(row))) throw new Error(`row ${row} has no time`);
      lineBytes += view.line(row).length;
    }
    if (lineBytes !== Buffer.concat(view.blocks(0, view.count)).length) throw new Error('lines do not cover the block');
  }
  expect(refused).toBeGreaterThan(50_000);
  expect(refused).toBeLessThan(100_000);
}, 60_000);

test('a batch that was written before there were uids is read without them', () => {
  const body = EventBatch.decode(write(new EventBatchWriter(), sample, 3));
  body.podUid = new Uint8Array(0);
  const view = decodeEventBatch(EventBatch.encode(body).finish());
  expect(rowsOf(view)).toEqual(sample.map((row) => ({ ...row, podUid: '' })));
});
