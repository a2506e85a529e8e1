import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusObserver } from '../../core/bus/bus.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { fileCheckpoints } from '../../services/aggregator/checkpoint.ts';
import type { PartitionSnapshot } from '../../services/aggregator/partition-state.ts';
import type { Dispositions as SinkDispositions } from '../../services/sinks/metrics.ts';
import { decodePosition } from '../../services/sinks/position.ts';

const plenty = 64 * 1024 ** 3;

/** A folder for tests. */
export interface TemporaryFolder {
  readonly path: string;
  /** A path in it that nobody has made yet: a test that is tried again does not meet what its first try left. */
  fresh(name: string): string;
  remove(): void;
}

/** A folder that is deleted with `remove`, and when the test process ends. */
export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'jitterscope-promise-'));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  process.once('exit', remove);
  return {
    path,
    fresh(name) {
      let found = join(path, name);
      for (let number = 2; existsSync(found); number++) found = join(path, `${name}-${number}`);
      return found;
    },
    remove() {
      process.removeListener('exit', remove);
      remove();
    },
  };
}

/** Opens the bus of a data folder that no process holds. */
export function openBusOf(dataDir: string, observer?: BusObserver): Promise<EmbeddedLog> {
  const spec = (name: string, retain: 'checkpoint' | 'oldest') => ({ name, partitions: 1, maxBytes: plenty, retain });
  return openEmbeddedLog({
    dir: join(dataDir, 'bus'),
    topics: [
      spec(topics.raw, 'checkpoint'),
      spec(topics.events, 'oldest'),
      spec(topics.metrics, 'oldest'),
      spec(topics.deadLetters, 'oldest'),
    ],
    ...(observer === undefined ? {} : { observer }),
  });
}

/** Where each hop of a data folder stands, from what it left on the disk. */
export interface HopPositions {
  /** Raw messages ever appended, and those that can be read. */
  readonly rawMessages: number;
  readonly deadLetters: number;
  readonly checkpoint: PartitionSnapshot;
  readonly sink: SinkDispositions;
  /** Messages of the events log that the sink has not committed. */
  readonly sinkBehind: number;
}

/** Reads what a process that has ended in order left: its last checkpoint and its sink's last commit. */
export async function readHops(dataDir: string): Promise<HopPositions> {
  const { snapshot } = await fileCheckpoints(join(dataDir, 'state')).load(0);
  if (snapshot === undefined) throw new Error(`${dataDir} holds no usable checkpoint`);
  const bus = await openBusOf(dataDir);
  try {
    const commit = await bus.committed('sink-file', topics.events, 0);
    const position = commit && decodePosition(commit.metadata);
    if (commit === undefined || position === undefined) throw new Error('the file sink has committed nothing');
    const raw = await bus.offsets(topics.raw, 0);
    const dead = await bus.offsets(topics.deadLetters, 0);
    const sinkBehind = (await bus.offsets(topics.events, 0)).next - commit.offset;
    return { rawMessages: raw.next, deadLetters: dead.next, checkpoint: snapshot, sink: position.dispositions, sinkBehind };
  } finally {
    await bus.close();
  }
}

/** Events that the files hold by the manifest of a running process; 0 before the first. */
export function eventsInManifest(dataDir: string): number {
  try {
    const text = readFileSync(join(dataDir, 'events', 'manifest.json'), 'utf8');
    const { partitions } = JSON.parse(text) as { partitions: Record<string, { totalEvents: number }> };
    return partitions['0']?.totalEvents ?? 0;
  } catch {
    return 0;
  }
}

/** Replay positions of the readable raw messages, in order: 1, 2, 3 ... when each message of a capture is there once. */
export async function replayPositions(dataDir: string): Promise<number[]> {
  const bus = await openBusOf(dataDir);
  const positions: number[] = [];
  try {
    const { earliest, next } = await bus.offsets(topics.raw, 0);
    if (earliest === next) return positions;
    for await (const fetch of bus.read(topics.raw, 0, earliest, { until: next })) {
      for (const { value } of fetch.messages) positions.push(RawMessage.decode(value).replay?.seq ?? 0);
    }
    return positions;
  } finally {
    await bus.close();
  }
}
