import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, EventBatchWriter } from '../../schema/event-batch.ts';

/** Number of the test event whose origin is (number >> 2, number & 3). */
export function lineOf(number: number): string {
  return `${JSON.stringify({ event: { id: idOf(number) }, pad: 'x'.repeat(number % 50) })}\n`;
}

export function idOf(number: number): string {
  return `9c1f0b7a52e4d386-${number}`;
}

/** An EventBatch for tests: events `first`, `first + 1`, ... with the same running numbers. */
export function encodeEvents(first: number, count: number, firstEvent = first): Uint8Array {
  const writer = new EventBatchWriter(1024);
  for (let number = first; number < first + count; number++) {
    const line = lineOf(number);
    const { buffer, at } = writer.reserve(line.length);
    writer.commit(buffer.write(line, at));
    writer.add(
      1_790_000_000 + number,
      number,
      number >> 2,
      number & 3,
      '9c1f0b7a52e4d386',
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

export function viewOf(first: number, count: number): EventBatchView {
  return decodeEventBatch(encodeEvents(first, count));
}
