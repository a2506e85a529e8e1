import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { topics } from '../proto/bus.ts';
import { EventBatchWriter } from '../schema/event-batch.ts';
import { checkFilter, type EventFilter, followEvents } from './event-feed.ts';

function batchOf(first: number, rows: readonly { type: string; namespace: string; pod: string }[]): Uint8Array {
  const writer = new EventBatchWriter(1024);
  rows.forEach(({ type, namespace, pod }, row) => {
    writer.putLine(`${JSON.stringify({ n: first + row })}\n`);
    writer.add(1, 0, first + row, 0, 'p', first + row, 1, type, 1, namespace, pod, 'node1');
  });
  return writer.finish(first);
}

const rows = [
  { type: 'tcpreset', namespace: 'shop', pod: 'web' },
  { type: 'tcpreset', namespace: 'shop', pod: 'db' },
  { type: 'other', namespace: 'shop', pod: 'web' },
  { type: 'tcpreset', namespace: '', pod: '' },
];

test.each<[EventFilter, number[]]>([
  [{}, [0, 1, 2, 3]],
  [{ type: 'tcpreset' }, [0, 1, 3]],
  [{ namespace: 'shop', pod: 'web' }, [0, 2]],
  [{ type: 'tcpreset', namespace: 'shop', pod: 'web' }, [0]],
  [{ namespace: '' }, [3]],
])('with the filter %j the events %j come, from now on, and a damaged batch is passed over', async (filter, expected) => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-feed-'));
  const bus = await openEmbeddedLog({
    dir,
    commitMs: 1,
    topics: [{ name: topics.events, partitions: 1, maxBytes: 2 ** 24, retain: 'oldest' }],
  });
  const stop = new AbortController();
  onTestFinished(async () => {
    stop.abort();
    await bus.close();
    rmSync(dir, { recursive: true });
  });
  await bus.append(topics.events, 0, [batchOf(100, rows)]);
  const feed = followEvents(bus, filter, stop.signal);
  const first = feed.next();
  // The feed begins with what comes after it looked at the end.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await bus.append(topics.events, 0, [Buffer.from('damaged'), batchOf(0, rows)]);
  const found = [(await first).value as string];
  while (found.length < expected.length) found.push((await feed.next()).value as string);
  expect(found.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual(expected);
  expect(found[0]).not.toContain('\n');
});

const own = ['reset-storm'];

test.each<[EventFilter, RegExp | undefined, string[]?]>([
  [{}, undefined, own],
  [{ type: 'tcpreset' }, undefined, own],
  [{ type: 'reset-storm', kind: 'alert' }, undefined, own],
  [{ type: 'tcprest' }, /no event or finding has the type tcprest; did you mean tcpreset\?/, own],
  [{ type: 'tcpreset', kind: 'alert' }, /no finding has the type tcpreset; expected one of reset-storm/, own],
  [{ type: 'reset-storm', kind: 'event' }, /no event has the type reset-storm; expected one of tcpreset/, own],
  [{ type: 'rule-of-another' }, undefined],
  [{ type: 'rule-of-another', kind: 'alert' }, undefined],
  [{ type: 'rule-of-another', kind: 'event' }, /no event has the type rule-of-another; expected one of tcpreset/],
])('a filter %j that nothing can ever pass is refused: %s, with the rules %j', (filter, says, rules) => {
  const check = (): void => checkFilter(filter, ['tcpreset'], rules);
  if (says === undefined) expect(check).not.toThrow();
  else expect(check).toThrow(says);
});
