import { readCapture } from '../../core/capture.ts';
import { RawMessage } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { idPrefixOf } from './expected-events.ts';

/** What one message of a capture carries. */
export interface MessageItems {
  /** tick, batch, heartbeat and so on. */
  readonly kind: string;
  readonly prefix: string;
  readonly firstItem: number;
  /** 0 unless it is a batch. */
  readonly count: number;
  /** The batch starts where the one before it ended. */
  readonly follows: boolean;
}

/** The item numbers of each message of a capture, in order: index = raw offset where the capture was replayed first. */
export async function itemsOfCapture(file: string): Promise<MessageItems[]> {
  const all: MessageItems[] = [];
  const nextItems = new Map<string, number>();
  for await (const bytes of readCapture(file)) {
    const raw = RawMessage.decode(bytes);
    const message = raw.tick ? undefined : CollectorMessage.decode(raw.message);
    const prefix = idPrefixOf(raw.node, raw.session);
    const firstItem = message?.batch?.firstItem ?? 0;
    const count = message?.batch?.count ?? 0;
    const follows = count > 0 && nextItems.get(prefix) === firstItem;
    if (count > 0) nextItems.set(prefix, firstItem + count);
    all.push({ kind: message?.body ?? 'tick', prefix, firstItem, count, follows });
  }
  return all;
}
