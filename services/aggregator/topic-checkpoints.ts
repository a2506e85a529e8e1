import { randomBytes } from 'node:crypto';
import { AppError, messageOf } from '../../core/app-error.ts';
import type { Bus } from '../../core/bus/bus.ts';
import { topics } from '../../proto/bus.ts';
import { type CheckpointStore, decodeFrames, framesOf, type LoadedCheckpoint } from './checkpoint.ts';
import { aggregatorError } from './errors.ts';

/** A message: id of the save (16), number of the piece (4), whether it is the last (1), bytes. */
const headerBytes = 21;
const idBytes = 16;
const pieceBytes = 1024 * 1024;
/** Saves of which pieces were read and not all: two processes save at once at most, the others were cut off. */
const maxOpen = 8;

/**
 * Checkpoints as messages of the topic `state`, in the partition that they are of: the bytes of a file of fileCheckpoints, in
 * pieces. Pieces of two that save at once (one does not know yet that it has lost the partition) are told apart by their id.
 * The newest two are kept.
 */
export function topicCheckpoints(bus: Bus): CheckpointStore {
  return {
    async save(partition, snapshot, blocks) {
      const id = randomBytes(idBytes);
      let first: number | undefined;
      let index = 0;
      try {
        for await (const { piece, isLast } of piecesOf(framesOf(snapshot, blocks))) {
          const offset = await bus.append(topics.state, partition, [[headerOf(id, index++, isLast), piece]]);
          first ??= offset;
        }
        await bus.checkpointed(topics.state, partition, first ?? 0);
      } catch (thrown) {
        const file = `${topics.state}/${partition}`;
        const remedy = thrown instanceof AppError ? thrown.remedy : 'Look into the log of the broker.';
        throw aggregatorError('AGGREGATOR_CHECKPOINT_FAILED', { file, cause: messageOf(thrown), remedy }, thrown);
      }
    },
    async load(partition) {
      const damaged: AppError[] = [];
      let found: (LoadedCheckpoint & { readonly offset: number }) | undefined;
      for await (const { bytes, offset } of whole(bus, partition)) {
        try {
          const checkpoint = decodeFrames(bytes);
          // A zombie's may come behind that of its successor.
          if ((checkpoint.snapshot?.rawOffset ?? 0) >= (found?.snapshot?.rawOffset ?? 0)) found = { ...checkpoint, offset };
        } catch (thrown) {
          const file = `${topics.state}/${partition} at ${offset}`;
          damaged.push(aggregatorError('AGGREGATOR_CHECKPOINT_DAMAGED', { file, cause: messageOf(thrown) }, thrown));
        }
      }
      if (found === undefined) return { snapshot: undefined, blocks: [], damaged };
      await bus.checkpointed(topics.state, partition, found.offset);
      return { snapshot: found.snapshot, blocks: found.blocks, damaged };
    },
  };
}

/** Checkpoints of which all pieces are there, in the order of their last ones; `offset`: of the first piece. */
async function* whole(bus: Bus, partition: number): AsyncGenerator<{ readonly bytes: Buffer; readonly offset: number }> {
  const { earliest, next } = await bus.offsets(topics.state, partition);
  const open = new Map<string, { offset: number; pieces: Buffer[] }>();
  if (earliest === next) return;
  for await (const { messages } of bus.read(topics.state, partition, earliest, { until: next })) {
    for (const { offset, value } of messages) {
      if (value.length < headerBytes) continue;
      const message = Buffer.from(value);
      const id = message.toString('hex', 0, idBytes);
      const save = open.get(id) ?? { offset, pieces: [] };
      // A piece that was sent again because its answer got lost.
      if (message.readUInt32BE(idBytes) < save.pieces.length) continue;
      if (message.readUInt32BE(idBytes) > save.pieces.length) {
        open.delete(id);
        continue;
      }
      save.pieces.push(message.subarray(headerBytes));
      // The one that was not written to for longest goes: whoever began it is gone, or it never was one.
      open.delete(id);
      open.set(id, save);
      if (open.size > maxOpen) open.delete(open.keys().next().value as string);
      if (message[headerBytes - 1] === 0) continue;
      open.delete(id);
      yield { bytes: Buffer.concat(save.pieces), offset: save.offset };
    }
  }
}

function headerOf(id: Uint8Array, index: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.set(id);
  header.writeUInt32BE(index, idBytes);
  header[headerBytes - 1] = isLast ? 1 : 0;
  return header;
}

/** Joins and cuts frames to pieces of one size. */
async function* piecesOf(frames: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly piece: Buffer; readonly isLast: boolean }> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  for await (const frame of frames) {
    // What a frame is made of is used again for the next one.
    waiting.push(Buffer.from(frame));
    bytes += frame.length;
    while (bytes > pieceBytes) {
      const all = Buffer.concat(waiting);
      yield { piece: all.subarray(0, pieceBytes), isLast: false };
      waiting = [all.subarray(pieceBytes)];
      bytes = waiting[0].length;
    }
  }
  yield { piece: Buffer.concat(waiting), isLast: true };
}
