import type { z } from 'zod';
import type { Log } from '../../core/log.ts';
import { elasticsearchSink } from './elasticsearch/index.ts';
import { fileSink } from './file/index.ts';
import { lokiSink } from './loki/index.ts';
import type { Sink } from './sink.ts';

/** What a sink is opened with besides its own configuration. */
export interface SinkContext {
  readonly dataDir: string;
  /** `cluster.name`. */
  readonly clusterName: string;
  readonly log: Log;
}

/** An opened sink and the most bytes of lines that it takes in one request. */
export interface OpenedSink {
  readonly sink: Sink;
  readonly maxBytes: number;
}

/** A kind of sink: the schema of its section, and how it is opened with a section that has passed the schema. */
export interface SinkDefinition<Schema extends z.ZodType> {
  readonly schema: Schema;
  open(section: z.output<Schema>, context: SinkContext): Promise<OpenedSink>;
}

/** All sinks by name: name of the section under `sinks`, of the consumer group (`sink-<name>`) and in metrics. */
export const sinkRegistry = {
  file: fileSink,
  elasticsearch: elasticsearchSink,
  loki: lokiSink,
} satisfies Readonly<Record<string, SinkDefinition<z.ZodType>>>;

export type SinkName = keyof typeof sinkRegistry;
