export { decodeEventBatch } from './event-batch-reader.ts';
export { encodeSingleEvent, joinEventBatches } from './event-batch-join.ts';
export { EventBatchWriter, type Reservation } from './event-batch-writer.ts';
