export { encodeSingleEvent, joinEventBatches } from './event-batch-join.ts';
export { decodeEventBatch } from './event-batch-reader.ts';
export { EventBatchWriter, type Reservation } from './event-batch-writer.ts';
