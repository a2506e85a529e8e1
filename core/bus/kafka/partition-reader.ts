import { AppError } from '../../app-error.ts';
import { backoffMs, sleep } from '../../retry.ts';
import type { Fetch, Hole, Message, ReadOptions } from '../bus.ts';
import { busError } from '../errors.ts';
import { MAX_MESSAGE_BYTES } from '../frame.ts';
import { errorType, kafkaError } from './errors.ts';
import { type Fetched, fetchRequest } from './fetch-request.ts';
import type { BrokerLink } from './link.ts';
import { type DecodedBatches, decodeRecordBatches } from './record-batches.ts';

const defaultFetchBytes = 1024 * 1024;
/** The batch behind one that cannot be judged by itself fits into so many. */
const followerBytes = MAX_MESSAGE_BYTES + 1024 * 1024;
/** An answer without progress is told from this try on: a broker that throttles sends nothing, too. */
const toldFromAttempt = 2;
/** How long a broker waits for messages; they come at once when there are some. */
const maxWaitMs = 5_000;
const retry = { initialMs: 50, maxMs: 1_000 };

export interface ReadPlace {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  /** A connection of its own: closed at the end. */
  readonly link: Pick<BrokerLink, 'send' | 'close'>;
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
  let isBase = false;
  let holes: Hole[] = [];
  try {
    for (let attempt = 0; position < until && !ended(); ) {
      try {
        const { decoded, answer } = await fetchFrom(place, { offset: position, isBase }, maxBytes);
        if (decoded.next === position && (position < answer.highWatermark || answer.batches.length > 0)) {
          const details = { topic, partition, from: position, to: answer.highWatermark, bytes: answer.batches.length };
          if (attempt >= toldFromAttempt) place.failed(kafkaError('KAFKA_NO_PROGRESS', details));
          await sleep(backoffMs(attempt++, retry), signal);
          continue;
        }
        attempt = 0;
        const { extent } = decoded;
        if (extent !== undefined) place.seen(extent.from, extent.to, extent.bytes);
        for (const codec of decoded.unknownCodecs) await place.unknownCodec(codec);
        const messages = decoded.next > until ? decoded.messages.filter(({ offset }) => offset < until) : decoded.messages;
        holes.push(...decoded.holes);
        for (const hole of decoded.holes) place.damaged(hole);
        position = Math.min(decoded.next, until);
        isBase = position === extent?.to;
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
          isBase = false;
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

/**
 * One answer, and what it holds. Where that cannot be judged without what follows, it is asked for again with room for that; when
 * nothing comes even then, it is the last of its segment.
 */
async function fetchFrom(
  { topic, partition, link }: ReadPlace,
  { offset, isBase }: { readonly offset: number; readonly isBase: boolean },
  maxBytes: number,
): Promise<{ readonly answer: Fetched; readonly decoded: DecodedBatches }> {
  const ask = (bytes: number): Promise<Fetched> =>
    link.send(`messages of ${topic}/${partition}`, fetchRequest({ topic, partition, offset, maxBytes: bytes, maxWaitMs }));
  const decode = ({ batches, highWatermark }: Fetched, isAll: boolean): Promise<DecodedBatches> =>
    decodeRecordBatches(batches, { from: offset, to: highWatermark, isBase, isAll });
  const answer = await ask(maxBytes);
  const decoded = await decode(answer, false);
  if (decoded.next > offset || answer.batches.length === 0) return { answer, decoded };
  const larger = await ask(answer.batches.length + followerBytes);
  return { answer: larger, decoded: await decode(larger, true) };
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
