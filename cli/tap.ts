import { join } from 'node:path';
import { askControl } from '../core/control.ts';
import { printableJson } from '../core/printable.ts';
import type { EventFilter } from './event-feed.ts';
import { eventText } from './event-text.ts';
import { untilInterrupted } from './interruption.ts';
import { writeAll } from './output.ts';
import { shortSocketPath } from './socket-path.ts';

export interface TapOptions {
  readonly dataDir: string;
  readonly json: boolean;
  readonly filter: EventFilter;
}

/** `jitterscope tap`: events of a running process until a signal ends it. Resolves with the exit code. */
export async function tap({ dataDir, json, filter }: TapOptions): Promise<number> {
  const stop = untilInterrupted();
  const shown = (line: string): string => (json ? (process.stdout.isTTY ? printableJson(line) : line) : eventText(line));
  for await (const line of askControl(shortSocketPath(join(dataDir, 'control.sock')), 'tap', { ...filter }, stop)) {
    await writeAll(process.stdout, `${shown(String(line))}\n`, stop);
  }
  return 0;
}
