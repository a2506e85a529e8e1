import type { LogStats, TopicSpec } from '../bus.ts';
import { busError } from '../errors.ts';
import type { LogWatch } from './log-watch.ts';
import type { PartitionProducer } from './partition-producer.ts';
import type { WatchedLog } from './watched-logs.ts';

export interface LogFillsOptions {
  readonly watch: LogWatch;
  /** Names as Kafka knows them. */
  topicName(topic: string): string;
  groupName(group: string): string;
}

/** How full the logs are, by what was seen of them in the background: no broker is asked. */
export class LogFills {
  readonly #options: LogFillsOptions;

  constructor(options: LogFillsOptions) {
    this.#options = options;
  }

  /** Fill and bounds of one partition. A log of which the brokers have not told yet is empty. */
  stats(spec: TopicSpec, partition: number, producer: PartitionProducer | undefined): LogStats {
    const { name, maxBytes } = spec;
    const log = this.#known(spec, partition);
    const { earliest = 0, next = 0 } = log ?? {};
    const bytes = log?.bytes.estimate(earliest, next) ?? 0;
    const [pendingBytes, commits] = [producer?.waitingBytes ?? 0, producer?.batches ?? 0];
    return { topic: name, partition, bytes, maxBytes, earliest, next, pendingBytes, commits };
  }

  /**
   * Above the newest checkpoint lies more than the cap: whoever writes checkpoints is away, and brokers' disks have an end.
   * While it is not known where that is, what this process wrote itself counts.
   */
  refuseFull(spec: TopicSpec, partition: number, waitingBytes: number): void {
    const { watch, topicName, groupName } = this.#options;
    const { checkpointGroup, maxBytes: limit } = spec;
    const log = this.#known(spec, partition);
    if (checkpointGroup === undefined) return;
    const name = topicName(spec.name);
    const from = Math.max(log?.earliest ?? 0, watch.position(groupName(checkpointGroup), name, partition)?.offset ?? 0);
    const above = log === undefined ? watch.seenBytes(name, partition) : log.bytes.estimate(from, log.next);
    const found = Math.round(above) + waitingBytes;
    if (found < limit) return;
    watch.decidedBy(name, partition, from);
    throw busError('BUS_FULL', { topic: spec.name, partition, found, limit });
  }

  /** What the brokers told of a log; undefined until they have, also of its checkpoints: that they did not is not that there are none. */
  #known({ name, checkpointGroup }: TopicSpec, partition: number): WatchedLog | undefined {
    const { watch, topicName, groupName } = this.#options;
    const topic = topicName(name);
    if (checkpointGroup !== undefined && !watch.isKnown(groupName(checkpointGroup), topic)) return undefined;
    return watch.log(topic, partition);
  }
}
