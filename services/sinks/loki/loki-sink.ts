import { AppError, messageOf } from '../../../core/app-error.ts';
import type { Log } from '../../../core/log.ts';
import { sleep } from '../../../core/retry.ts';
import { TlsFiles } from '../../../core/tls.ts';
import { sinkError } from '../errors.ts';
import { Credentials } from '../http/credentials.ts';
import { type Batch, type Delivery, type ItemError, rowsAt, type Sink } from '../sink.ts';
import { classify, type SentPush, type Verdict } from './classify.ts';
import type { LokiSinkConfig } from './config.ts';
import { type LokiCounters, newLokiCounters } from './counters.ts';
import { jsonEncoder, type PushEncoder, protobufEncoder } from './encode.ts';
import { findIds, mayQuery } from './find.ts';
import { Lane } from './lane.ts';
import { refusalOf } from './limits.ts';
import { Mutex } from './mutex.ts';
import { deliveryOf, type PlannedPush, planPushes, sentPush } from './send.ts';
import { type Stream, Streams } from './streams.ts';

/** What Loki recognises by itself when it is sent again: more of a stream may be stored twice. */
const recognisedBytes = 128 * 1024;
/** A push that nobody answered may still be under way inside of Loki for this long, from when Loki answers a query again. */
const settleMs = 1_000;
/** After this long a denied query is tried again: permissions change. */
const denialMs = 10 * 60_000;
/** Loki asks its ingesters for the last 3 h only (query_ingesters_within): older events are not seen before they are flushed. */
const visibleMs = 2.5 * 3_600_000;

export interface LokiSinkOptions {
  readonly config: LokiSinkConfig;
  /** Label `cluster`. */
  readonly cluster: string;
  readonly log: Log;
  /** Default 1 s. */
  readonly settleMs?: number;
}

/** Opens the sink; sends nothing yet. Rejects for TLS files and credentials that cannot be used. */
export async function openLokiSink(options: LokiSinkOptions): Promise<LokiSink> {
  const { config, log } = options;
  const tls = new TlsFiles(config.tls, log, 'sinks.loki.tls');
  const credentials = new Credentials(config.credentials, log);
  tls.current();
  credentials.authorization();
  let { encoding } = config;
  if (encoding === 'protobuf') {
    await protobufEncoder().catch((thrown: unknown) => {
      log.warn({ code: 'LOKI_WITHOUT_SNAPPY', cause: messageOf(thrown) }, 'no snappy on this platform: pushes to Loki are JSON with gzip');
      encoding = 'json';
    });
  }
  const lane = () => new Lane({ url: config.url, encoding, timeoutMs: config.timeout, tenantId: config.tenantId, credentials, tls });
  const encoder = async () => (encoding === 'json' ? jsonEncoder() : protobufEncoder());
  return new LokiSink(options, lane, encoder);
}

/** What one partition has of its own: it waits for another only where both push to one stream. */
interface PartitionLane {
  readonly lane: Lane;
  readonly encoder: Promise<PushEncoder>;
  /** Replays of dead letters come beside the pipeline: one push (from its encoding on) or query at a time. */
  readonly mutex: Mutex;
}

/** Events as log lines in Loki, one push a stream: each event once, as far as Loki can be asked what it holds. */
export class LokiSink implements Sink {
  readonly counters: Readonly<LokiCounters>;
  readonly #counters = newLokiCounters();
  readonly #options: LokiSinkOptions;
  readonly #settleMs: number;
  readonly #streams: Streams;
  readonly #lanes = new Map<number, PartitionLane>();
  readonly #newLane: () => Lane;
  readonly #newEncoder: () => Promise<PushEncoder>;
  /** Loki denied a query: it is not asked again before, ms of performance.now(). */
  #deniedUntilMs = Number.NEGATIVE_INFINITY;
  #hasTold = false;
  #isClosed = false;

  constructor(options: LokiSinkOptions, newLane: () => Lane, newEncoder: () => Promise<PushEncoder>) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? settleMs;
    this.#streams = new Streams(options.cluster);
    this.#newLane = newLane;
    this.#newEncoder = newEncoder;
    this.counters = this.#counters;
  }

  /** An empty push tells whether events would be taken; a query, whether they can be found. */
  async check(signal: AbortSignal): Promise<void> {
    const lane = this.#newLane();
    try {
      const outcome = await lane.push((await this.#newEncoder()).empty, signal);
      const { cause } = classify(outcome, nothing(this.#options.config.url));
      if (cause !== undefined && !(outcome.kind === 'answered' && outcome.status === 422)) throw cause;
      if (this.#mayAsk) await mayQuery(lane, this.#scope(), signal).catch((thrown: unknown) => this.#passOver(thrown));
      else this.#tell(undefined);
    } finally {
      lane.close();
    }
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<Delivery> {
    signal.throwIfAborted();
    const { config } = this.#options;
    const rejected: ItemError[] = [];
    const nowMs = Date.now();
    const streamOf = (position: number): Stream | undefined => {
      const row = batch.items[position];
      const error = refusalOf(batch.view, row, config, nowMs);
      if (error === undefined) return this.#streams.take(batch.view, row);
      rejected.push({ item: position, error });
      this.#counters.withheldEvents++;
      return undefined;
    };
    const maxBytes = this.#mayAsk ? config.maxPushSize : Math.min(config.maxPushSize, recognisedBytes);
    const pushes = planPushes(batch, streamOf, maxBytes);
    for (const [index, push] of pushes.entries()) {
      const verdict = await this.#push(batch, push, signal, index === 0).catch((thrown: unknown): Verdict => {
        // A rejection would say that nothing is stored.
        if (index === 0 || signal.aborted) throw thrown;
        return { again: [...push.positions.keys()], cause: expected(thrown) };
      });
      for (const { entry, error } of verdict.rejected ?? []) rejected.push({ item: push.positions[entry], error });
      if (verdict.cause !== undefined) return deliveryOf(rejected, { push, verdict, behind: pushes.slice(index + 1) });
    }
    return deliveryOf(rejected);
  }

  async find(batch: Batch, signal: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    if (!this.#mayAsk) return undefined;
    const own = this.#laneOf(batch.partition);
    try {
      const found = await this.#ask(own, batch, signal);
      if (found.size === batch.items.length) return found;
      // A new sink before a full bus: nothing is under way that nobody has begun.
      if (found.size === 0 && batch.begun === 0) return found;
      // What is missing may still be under way: of a killed process, of the partition's owner before, in a Loki that was stalled.
      await sleep(this.#settleMs, signal);
      // One of several Lokis may know less than the one that was asked first.
      return new Set([...found, ...(await this.#ask(own, batch, signal))]);
    } catch (thrown) {
      if (signal.aborted || !isDenial(thrown)) throw thrown;
      this.#noteDenial(thrown);
      return undefined;
    }
  }

  mayMiss({ view, items }: Batch): number {
    const sinceS = (Date.now() - visibleMs) / 1000;
    return items.filter((row) => view.timeSeconds(row) < sinceS).length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { lane } of this.#lanes.values()) lane.close();
    this.#lanes.clear();
  }

  async #push(batch: Batch, push: PlannedPush, signal: AbortSignal, isFirst: boolean): Promise<Verdict> {
    const own = this.#laneOf(batch.partition);
    const rows = rowsAt(batch, push.positions);
    const outcome = await own.mutex.run(async () => {
      const encoded = await (await own.encoder).encode(push.stream, batch.view, rows);
      const send = async () => {
        if (isFirst) signal.throwIfAborted();
        this.#counters.pushes++;
        this.#counters.wireBytes += encoded.body.length;
        return own.lane.push(encoded, signal);
      };
      return this.#streams.inTurn(push.stream, send, signal);
    }, signal);
    const verdict = classify(outcome, sentPush(batch, push, this.#options.config.url));
    if (push.stream.isBackfill) this.#counters.backfilledEvents += rows.length;
    if (verdict.oldestS !== undefined) this.#streams.learn(push.stream, verdict.oldestS);
    return verdict;
  }

  async #ask({ lane, mutex }: PartitionLane, batch: Batch, signal: AbortSignal): Promise<ReadonlySet<string>> {
    this.#counters.lookUps++;
    const query: Lane['query'] = (path, parameters) => mutex.run(() => lane.query(path, parameters, signal), signal);
    return findIds({ query }, batch, this.#scope(), signal);
  }

  #laneOf(partition: number): PartitionLane {
    if (this.#isClosed) throw sinkError('SINK_NOT_OPEN', { sink: 'loki' });
    let own = this.#lanes.get(partition);
    if (own === undefined) {
      own = { lane: this.#newLane(), encoder: this.#newEncoder(), mutex: new Mutex() };
      this.#lanes.set(partition, own);
    }
    return own;
  }

  get #mayAsk(): boolean {
    return this.#options.config.readBack && performance.now() >= this.#deniedUntilMs;
  }

  #scope() {
    return { cluster: this.#options.cluster, url: this.#options.config.url };
  }

  /** Of a query's failures at the start only those that an operator has to mend hold up the sink. */
  #passOver(thrown: unknown): void {
    if (isDenial(thrown)) this.#noteDenial(thrown);
    else if (thrown instanceof AppError && !thrown.retryable) throw thrown;
  }

  /** Remembers, and says once, that Loki may not be asked. */
  #noteDenial(denial: AppError): void {
    this.#deniedUntilMs = performance.now() + denialMs;
    this.#tell(denial);
  }

  #tell(cause: AppError | undefined): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.#options.log.warn(
      { code: 'LOKI_MAY_NOT_BE_ASKED', ...(cause && { remedy: cause.remedy }) },
      `${cause?.message ?? 'sinks.loki.readBack is off'}: events whose outcome is unknown are sent again and may be stored twice; they are counted`,
    );
  }
}

function isDenial(thrown: unknown): thrown is AppError {
  return thrown instanceof AppError && thrown.code === 'LOKI_MAY_NOT_BE_ASKED';
}

/** A failure before a push was sent. */
function expected(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  return sinkError('SINK_FAILED_UNEXPECTEDLY', { sink: 'loki', cause: messageOf(thrown), pauseSeconds: 30 }, thrown);
}

/** A push without events, as it is judged. */
function nothing(url: string): SentPush {
  return { url, isBackfill: false, count: 0, bytes: 0, seconds: () => 0, nanos: () => 0, lineBytes: () => 0 };
}
