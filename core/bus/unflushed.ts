import type { BusObserver } from './bus.ts';
import { busError } from './errors.ts';

/** What waits for durability in one partition. */
export interface Unflushed {
  readonly topic: string;
  readonly messages: number;
  readonly bytes: number;
}

/** Tells what a bus that closes leaves behind, if it is anything. */
export function tellUnflushed(partitions: readonly Unflushed[], observer: BusObserver | undefined): void {
  const waiting = partitions.filter(({ messages }) => messages > 0);
  if (waiting.length === 0) return;
  const sum = (what: 'messages' | 'bytes'): number => waiting.reduce((total, partition) => total + partition[what], 0);
  const topics = [...new Set(waiting.map(({ topic }) => topic))].join(', ');
  observer?.warned?.(busError('BUS_UNFLUSHED', { messages: sum('messages'), bytes: sum('bytes'), topics }));
}
