import type { EventBatchView } from '../../../schema/batch.ts';
import { decodeEventBatch, EventBatchWriter } from '../../../schema/event-batch.ts';
import type { Batch } from '../sink.ts';

/** One event for tests: what the sink reads of it. */
export interface TestLine {
  readonly id?: string;
  readonly timeSeconds?: number;
  readonly line: string;
}

/** A batch of partition 0 with these lines; ids count up under a prefix. */
export function batchOfLines(lines: readonly TestLine[], prefix = '00000000000000aa'): Batch {
  const view = viewOfLines(lines, prefix);
  return { partition: 0, view, items: Uint32Array.from({ length: lines.length }, (_, row) => row) };
}

function viewOfLines(lines: readonly TestLine[], prefix: string): EventBatchView {
  const writer = new EventBatchWriter(1024);
  lines.forEach(({ id, timeSeconds = Date.now() / 1000, line }, number) => {
    writer.putLine(`${line}\n`);
    const seconds = Math.floor(timeSeconds);
    writer.add(seconds, 0, number, 0, id ?? prefix, number, 1, 'tcpreset', 1, 'shop', 'web-0', 'node1');
  });
  return decodeEventBatch(writer.finish(0));
}
