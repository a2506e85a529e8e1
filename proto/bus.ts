import { jitterscope } from './gen/bus.js';

/** Short names for the bodies of the messages on the bus (bus.proto). */
export const { RawMessage, EventBatch, DeadLetter, MetricBatch, PipelineFigures } = jitterscope.bus.v1;

export type RawBody = jitterscope.bus.v1.RawMessage.$Properties;
/** A decoded MetricBatch. */
export type MetricBatch = jitterscope.bus.v1.MetricBatch;
export type MetricBatchBody = jitterscope.bus.v1.MetricBatch.$Properties;
export type MetricGroupBody = jitterscope.bus.v1.MetricGroup.$Properties;
export type MetricLayoutBody = jitterscope.bus.v1.MetricLayout.$Properties;
/** What a tick says of the pipeline. */
export type PipelineFiguresBody = jitterscope.bus.v1.PipelineFigures.$Properties;
export type QueueFiguresBody = jitterscope.bus.v1.QueueFigures.$Properties;
export type DeadLetterBody = jitterscope.bus.v1.DeadLetter.$Properties;
export type SettlementBody = jitterscope.bus.v1.Settlement.$Properties;
export type LetterClaimBody = jitterscope.bus.v1.LetterClaim.$Properties;

/** Names of the topics. */
export const topics = {
  raw: 'jitterscope.raw.v1',
  events: 'jitterscope.events.v1',
  metrics: 'jitterscope.metrics.v1',
  deadLetters: 'jitterscope.dlq.v1',
  /** Only over Kafka: checkpoints of the aggregator. */
  state: 'jitterscope.state.v1',
} as const;
