import { expect, test } from 'vitest';
import { decodeEventBatch, EventBatchWriter } from '../../../schema/event-batch.ts';
import { planPushes } from './send.ts';
import { type Stream, Streams } from './streams.ts';

interface Row {
  readonly atS: number;
  readonly type?: string;
  readonly severity?: number;
  readonly node?: string;
  readonly bytes?: number;
}

function viewOf(rows: readonly Row[]) {
  const writer = new EventBatchWriter();
  for (const [index, { atS, type = 'tcpreset', severity = 1, node = 'node1', bytes = 10 }] of rows.entries()) {
    writer.putLine(`${'x'.repeat(bytes - 1)}\n`);
    writer.add(atS, 0, index, 0, '9c1f0b7a52e4d386', index, 1, type, severity, 'shop', 'web-0', node);
  }
  return decodeEventBatch(writer.finish(0));
}

const labelsOf = (streams: Streams, rows: readonly Row[]) => {
  const view = viewOf(rows);
  return rows.map((_, row) => streams.take(view, row).labels);
};
const base = 1_795_000_000;
const plain = (type = 'tcpreset', severity = 'info') =>
  `{cluster="c1", event_kind="event", service_name="jitterscope", severity="${severity}", type="${type}"}`;
const late = (node: string) => plain().replace('{', `{backfill="${node}", `);

test('labels are few: kind, type and severity, not Pods or nodes', () => {
  const rows = [{ atS: base }, { atS: base, node: 'node2' }, { atS: base, type: 'tcplife' }, { atS: base, severity: 3 }];
  expect(labelsOf(new Streams('c1'), rows)).toEqual([plain(), plain(), plain('tcplife'), plain('tcpreset', 'critical')]);
});

test('what is more than half an hour behind its stream goes to the backfill stream of its node', () => {
  const rows = [
    { atS: base },
    { atS: base - 1800 },
    { atS: base - 1801 },
    { atS: base - 7200, node: 'node2' },
    { atS: base - 7200, type: 'tcplife' },
    { atS: base + 1 },
  ];
  expect(labelsOf(new Streams('c1'), rows)).toEqual([plain(), plain(), late('node1'), late('node2'), plain('tcplife'), plain()]);
});

test('what Loki says of a stream is learned, also when this process has sent nothing newer', () => {
  const streams = new Streams('c1');
  const view = viewOf([{ atS: base - 7200 }]);
  const stream = streams.take(view, 0);
  expect(stream.labels).toBe(plain());
  streams.learn(stream, base - 3600);
  expect(streams.take(view, 0).labels).toBe(late('node1'));
  expect(labelsOf(streams, [{ atS: base - 3599 }])).toEqual([plain()]);
});

test('quotes and line ends in names are escaped, and an empty label is none', () => {
  const streams = new Streams('a"b\\c\n');
  expect(labelsOf(streams, [{ atS: base, type: '' }])).toEqual([
    '{cluster="a\\"b\\\\c\\n", event_kind="event", service_name="jitterscope", severity="info"}',
  ]);
});

test('a push has one stream and at most so many bytes; a longer line goes alone; order holds', () => {
  const rows = [10, 50, 10, 200, 10, 10].map((bytes, index) => ({ atS: base + index, bytes, type: index === 2 ? 'tcplife' : 'tcpreset' }));
  const view = viewOf(rows);
  const streams = new Streams('c1');
  const items = Uint32Array.of(0, 1, 2, 3, 4, 5);
  const pushes = planPushes({ partition: 0, view, items }, (position) => streams.take(view, items[position]), 70);
  expect(pushes.map(({ stream, positions }) => [stream.labels, positions])).toEqual([
    [plain(), [0, 1]],
    [plain('tcplife'), [2]],
    [plain(), [3]],
    [plain(), [4, 5]],
  ]);
  const none = planPushes({ partition: 0, view, items }, (): Stream | undefined => undefined, 70);
  expect(none).toEqual([]);
});

test('thousands of nodes that come back neither let two pushes of a stream go at once nor take the newest time of the others away', async () => {
  const streams = new Streams('c1');
  const signal = new AbortController().signal;
  const lateOf = (node: string) => streams.take(viewOf([{ atS: base - 7200, node }]), 0);
  streams.take(viewOf([{ atS: base }]), 0);
  const steps: string[] = [];
  let end = (): void => undefined;
  const first = streams.inTurn(
    lateOf('node1'),
    () =>
      new Promise<void>((resolve) => {
        end = () => {
          steps.push('first ends');
          resolve();
        };
      }),
    signal,
  );
  for (let from = 0; from < 12_000; from += 1_000) {
    const view = viewOf(Array.from({ length: 1_000 }, (_, index) => ({ atS: base - 7200, node: `other-${from + index}` })));
    for (let row = 0; row < 1_000; row++) streams.take(view, row);
  }
  const again = lateOf('node1');
  expect(again.labels).toBe(late('node1'));
  const second = streams.inTurn(again, async () => void steps.push('second begins'), signal);
  await new Promise(setImmediate);
  end();
  await Promise.all([first, second]);
  expect(steps).toEqual(['first ends', 'second begins']);
});
