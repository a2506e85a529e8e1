import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, EventBatchWriter } from '../../schema/event-batch.ts';

/** Number of the test event whose origin is (number >> 2, number & 3). */
export function lineOf(number: number): string {
  return lineIn(0, number);
}

/** Id of the test event in partition 0. */
export function idOf(number: number): string {
  return idIn(0, number);
}

/** Ids differ between partitions, as those of nodes do. */
export function idIn(partition: number, number: number): string {
  return `${prefixOf(partition)}-${number}`;
}

function lineIn(partition: number, number: number): string {
  return `${JSON.stringify({ event: { id: idIn(partition, number) }, pad: 'x'.repeat(number % 50) })}\n`;
}

function prefixOf(partition: number): string {
  return `9c1f0b7a52e4d3${(0x86 + partition).toString(16)}`;
}

/** An EventBatch for tests: events `first`, `first + 1`, ... with the same running numbers. */
export function encodeEvents(first: number, count: number, firstEvent = first, partition = 0): Uint8Array {
  const writer = new EventBatchWriter(1024);
  for (let number = first; number < first + count; number++) {
    writer.putLine(lineIn(partition, number));
    writer.add(
      1_790_000_000 + number,
      number,
      number >> 2,
      number & 3,
      prefixOf(partition),
      number,
      1,
      'tcpreset',
      1,
      'shop',
      `web-${number % 3}`,
      'node1',
    );
  }
  return writer.finish(firstEvent);
}

export function viewOf(first: number, count: number, partition = 0): EventBatchView {
  return decodeEventBatch(encodeEvents(first, count, first, partition));
}
