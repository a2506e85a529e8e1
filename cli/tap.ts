import { join } from 'node:path';
import { askControl } from '../core/control.ts';
import type { EventFilter } from './event-feed.ts';
import { eventText } from './event-text.ts';
import { shortSocketPath } from './socket-path.ts';

export interface TapOptions {
  readonly dataDir: string;
  readonly json: boolean;
  readonly filter: EventFilter;
}

/** `jitterscope tap`: events of a running process until a signal ends it. Resolves with the exit code. */
export async function tap({ dataDir, json, filter }: TapOptions): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  for await (const line of askControl(shortSocketPath(join(dataDir, 'control.sock')), 'tap', { ...filter }, stop.signal)) {
    process.stdout.write(`${json ? String(line) : eventText(String(line))}\n`);
  }
  return 0;
}
