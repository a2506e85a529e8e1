import { AppError } from '../../app-error.ts';
import { backoffMs, sleep } from '../../retry.ts';
import type { Fetch, Hole, Message, ReadOptions } from '../bus.ts';
import { busError } from '../errors.ts';
import { errorType } from './errors.ts';
import { fetchRequest } from './fetch-request.ts';
import type { BrokerLink } from './link.ts';
import { decodeRecordBatches } from './record-batches.ts';

const defaultFetchBytes = 1024 * 1024;
/** How long a broker waits for messages; they come at once when there are some. */
const maxWaitMs = 5_000;
const retry = { initialMs: 50, maxMs: 1_000 };

export interface ReadPlace {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  /** A connection of its own: closed at the end. */
  readonly link: BrokerLink;
  offsets(): Promise<{ readonly earliest: number; readonly next: number }>;
  /** Told of each range that was read, with its bytes at the broker. */
  seen(from: number, to: number, bytes: number): void;
  /** Told of offsets that hold no readable message, though they should. */
  damaged(hole: Hole): void;
  /** Told of a batch that is compressed with what is not read here. Rejects where the topic is set so: every batch will be. */
  unknownCodec(codec: number): Promise<void>;
  /** Told of each time that the broker does not answer; it is asked again for ever. */
  failed(error: AppError): void;
}

/** Reads one partition; see Bus.read. A broker that is away is waited for. */
export async function* readPartition(place: ReadPlace, options: ReadOptions): AsyncGenerator<Fetch> {
  const { topic, partition, link } = place;
  const { signal, until = Number.POSITIVE_INFINITY, maxBytes = defaultFetchBytes } = options;
  const ended = (): boolean => signal?.aborted === true;
  const stop = (): void => link.close();
  signal?.addEventListener('abort', stop, { once: true });
  let position = place.from;
  let holes: Hole[] = [];
  try {
    for (let attempt = 0; position < until && !ended(); ) {
      try {
        const range = { topic, partition, offset: position, maxBytes, maxWaitMs };
        const { batches } = await link.send(`messages of ${topic}/${partition}`, fetchRequest(range));
        attempt = 0;
        if (batches.length === 0) continue;
        const decoded = await decodeRecordBatches(batches, position);
        const { extent } = decoded;
        if (extent !== undefined) place.seen(extent.from, extent.to, extent.bytes);
        for (const codec of decoded.unknownCodecs) await place.unknownCodec(codec);
        const messages = decoded.next > until ? decoded.messages.filter(({ offset }) => offset < until) : decoded.messages;
        holes.push(...decoded.holes);
        for (const hole of decoded.holes) place.damaged(hole);
        position = Math.min(decoded.next, until);
        if (ended()) return;
        if (messages.length === 0 && holes.length === 0) continue;
        for (const part of partsOf(messages, maxBytes)) {
          const next = part.at(-1) === messages.at(-1) ? position : part[part.length - 1].offset + 1;
          yield { topic, partition, messages: part, next, holes };
          holes = [];
        }
      } catch (thrown) {
        if (ended()) return;
        const hole = await holeAt(place, position, thrown);
        if (hole !== undefined) {
          holes.push(hole);
          position = hole.to;
          continue;
        }
        await sleep(backoffMs(attempt++, retry), signal).catch(() => undefined);
      }
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    link.close();
  }
}

/** Messages in parts of about a size: what was compressed comes out several times as large as what was asked for. */
function* partsOf(messages: readonly Message[], maxBytes: number): Generator<readonly Message[]> {
  let part: Message[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (part.length > 0 && bytes + message.value.length > maxBytes) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(message);
    bytes += message.value.length;
  }
  yield part;
}

/** What is missing at a position that the broker does not have. Undefined: it is to be asked again. Throws what is for good. */
async function holeAt(place: ReadPlace, position: number, thrown: unknown): Promise<Hole | undefined> {
  const { topic, partition, failed } = place;
  if (thrown instanceof AppError && thrown.code === 'KAFKA_COMPRESSION') throw thrown;
  if (!(thrown instanceof AppError)) throw thrown;
  if (errorType(thrown) !== 'OFFSET_OUT_OF_RANGE') {
    failed(thrown);
    if (thrown.code === 'KAFKA_FORBIDDEN') throw thrown;
    return undefined;
  }
  const { earliest, next } = await place.offsets();
  if (position < earliest) return { from: position, to: earliest, reason: 'retention' };
  // A follower that became the leader may not know the end yet.
  if (position <= next) return undefined;
  throw busError('BUS_OFFSET', { what: 'start', found: position, topic, partition, next }, thrown);
}
