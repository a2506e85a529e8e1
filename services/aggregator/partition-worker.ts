import { lastValueFrom } from 'rxjs';
import { AppError, messageOf } from '../../core/app-error.ts';
import type { Commit, Fetch } from '../../core/bus/bus.ts';
import { encodeDeadLetter } from '../../core/dead-letter.ts';
import { LogLimiter } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import type { AggregatorOptions } from './main.ts';
import { findFindings, findMetricEnd, findOutputEnd } from './output-end.ts';
import { noRules, PartitionState } from './partition-state.ts';
import { type PartitionSteps, partitionSteps } from './partition-steps.ts';
import { aggregate, type PipelinePorts } from './pipeline.ts';
import type { RefusedInput } from './raw-input.ts';
import { encodeReport } from './report.ts';
import type { RuleSet } from './rules/rule.ts';
import { newWorkerTimes } from './worker-times.ts';

/** Bytes of an unusable message that its dead letter keeps. */
const maxDeadLetterBytes = 1024 * 1024;
/** Dead letters that may wait for their durability. */
const maxOpenLetters = 16;
/** A checkpoint that failed is tried again after this time. */
const retryCheckpointMs = 5_000;
/** How the work stands is told so often, if it has changed. */
const reportMs = 5_000;
/** A lost state is told for this long behind the start. */
const toldStateLostMs = 60_000;

/** Runs the pipeline of one raw partition: state, output, checkpoints. */
export class PartitionWorker {
  readonly state: PartitionState;
  /** Whether it began empty although the partition must have had a state. */
  readonly stateLost: boolean;
  readonly times = newWorkerTimes();
  readonly #partition: number;
  readonly #options: AggregatorOptions;
  readonly #steps: PartitionSteps;
  readonly #ports: PipelinePorts;
  readonly #commit: (position: Commit) => Promise<void>;
  readonly #startedMs = performance.now();
  /** Raw offset of the newest checkpoint, or where the work began. */
  #checkpointOffset: number;
  #reportTimer: NodeJS.Timeout | undefined;
  /** What was told last, and the telling that runs. */
  #reported = '';
  #reporting: Promise<void> = Promise.resolve();
  #inFlight: Promise<unknown> = Promise.resolve();
  #metricsInFlight: Promise<unknown> = Promise.resolve();
  #publishing = 0;
  /** Dead letters that are being written. */
  #letters: Promise<unknown>[] = [];
  readonly #limiter = new LogLimiter();
  #lingerTimer: NodeJS.Timeout | undefined;
  /** When a batch was closed last, full or not, ms of performance.now(). */
  #closedMs = Number.NEGATIVE_INFINITY;
  #checkpointTimer: NodeJS.Timeout | undefined;
  #closing = false;
  /** Rules that wait for a checkpoint. */
  #nextRules: RuleSet | undefined;
  #nextCheckpointMs: number;
  /** Bytes of raw messages that were processed since the last checkpoint, also since one that failed. */
  #uncheckpointedBytes = 0;
  #busy: Promise<void> = Promise.resolve();

  private constructor(
    partition: number,
    options: AggregatorOptions,
    steps: PartitionSteps,
    stateLost: boolean,
    commit: (position: Commit) => Promise<void>,
  ) {
    this.#partition = partition;
    this.#options = options;
    this.state = steps.state;
    this.#steps = steps;
    this.stateLost = stateLost;
    this.#commit = commit;
    this.#checkpointOffset = steps.state.rawOffset;
    this.#nextCheckpointMs = performance.now() + options.checkpointMs;
    this.#ports = {
      publish: (batches) => this.#publish(batches),
      publishMetrics: (batch) => this.#publishMetrics(batch),
      refuse: (input) => this.#refuse(input),
    };
  }

  /** Restores the newest checkpoint; output that the topic holds already is made again silently. */
  static async start(partition: number, options: AggregatorOptions, commit: (position: Commit) => Promise<void>): Promise<PartitionWorker> {
    const { bus, checkpoints, log } = options;
    const { snapshot, blocks, damaged } = await checkpoints.load(partition);
    for (const error of damaged) log.error({ code: error.code, partition }, error.message);
    const { earliest, next } = await bus.offsets(topics.raw, partition);
    const usable = snapshot !== undefined && snapshot.rawOffset >= earliest && snapshot.rawOffset <= next ? snapshot : undefined;
    const state = new PartitionState(options.series, { set: options.rules ?? noRules, cluster: options.cluster, partition });
    const ends = { events: await findOutputEnd(bus, partition), metrics: await findMetricEnd(bus, partition) };
    const steps = partitionSteps(state, options, ends);
    const stateLost = usable === undefined && (snapshot !== undefined || earliest > 0);
    if (usable !== undefined) {
      state.restore(usable, blocks);
      if (ends.events !== undefined && state.rules.isChanged) steps.output.knows(await findFindings(bus, partition, usable.nextEvent));
    }
    if (stateLost) {
      state.complete = earliest === 0;
      state.rawOffset = earliest;
      const found = snapshot === undefined ? 'no usable checkpoint' : `a checkpoint at ${snapshot.rawOffset}`;
      log.warn(
        { code: 'AGGREGATOR_STATE_LOST', partition, earliest, next },
        `state lost: ${found}, and the raw log holds ${earliest} to ${next}`,
      );
    }
    if (usable !== undefined) await bus.checkpointed(topics.raw, partition, state.rawOffset);
    return new PartitionWorker(partition, options, steps, stateLost, commit);
  }

  /** Whether events wait in the open batch or for their durability. */
  get pending(): boolean {
    return this.#steps.output.pending > 0 || this.#publishing > 0;
  }

  /** From now on the group's position says how the work stands: nothing else of it is seen by other processes. */
  startReports(): void {
    const report = (): void => {
      this.#report().catch((thrown: unknown) =>
        this.#options.log.debug({ partition: this.#partition, cause: messageOf(thrown) }, 'no report'),
      );
    };
    report();
    this.#reportTimer = setInterval(report, reportMs);
  }

  /** Resolves when the fetch is processed; events of it may wait in the open EventBatch until lingerMs after the batch before. */
  process(fetch: Fetch): Promise<void> {
    return this.#exclusively(async () => {
      const beganMs = performance.now();
      await lastValueFrom(aggregate(fetch, this.#steps, this.#ports));
      this.times.fetches++;
      this.times.fetchSeconds += (performance.now() - beganMs) / 1e3;
      await this.#lettersDurable();
      for (const { value } of fetch.messages) this.#uncheckpointedBytes += value.length;
      if (this.#isCheckpointDue) await this.#checkpoint();
      this.#armCheckpoint();
      this.#linger();
    });
  }

  /** A partition changes its rules behind a checkpoint: a start makes again with the new ones what was made with them. */
  replaceRules(rules: RuleSet): Promise<void> {
    return this.#exclusively(async () => {
      this.#nextRules = rules;
      await this.#checkpoint();
    });
  }

  /** Ends with a checkpoint. */
  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#checkpointTimer);
    clearInterval(this.#reportTimer);
    await this.#exclusively(() => this.#checkpoint());
    clearTimeout(this.#lingerTimer);
  }

  /** Also by bytes: a raw log must not be at its cap before the time has come. */
  get #isCheckpointDue(): boolean {
    const { checkpointBytes = Number.POSITIVE_INFINITY } = this.#options;
    return performance.now() >= this.#nextCheckpointMs || this.#uncheckpointedBytes >= checkpointBytes;
  }

  /** Timers and fetches touch the same state: one at a time. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    const turn = this.#busy.then(work);
    this.#busy = turn.catch(() => undefined);
    return turn;
  }

  /** Also when no more comes: a raw log at its cap takes nothing until there is a checkpoint. */
  #armCheckpoint(): void {
    if (this.#checkpointTimer !== undefined || this.#closing) return;
    this.#checkpointTimer = setTimeout(
      () => {
        this.#checkpointTimer = undefined;
        this.#exclusively(() => this.#checkpoint()).catch((error: unknown) => this.#options.onFailure(error));
      },
      Math.max(0, this.#nextCheckpointMs - performance.now()),
    );
  }

  /** At most one batch that is not full in `lingerMs`: what comes after a pause does not wait. */
  #linger(): void {
    if (this.#lingerTimer !== undefined || this.#steps.output.pending === 0) return;
    this.#lingerTimer = setTimeout(
      () => {
        this.#lingerTimer = undefined;
        // Others were closed meanwhile: what waits now came behind them.
        if (performance.now() < this.#closedMs + this.#options.lingerMs) this.#linger();
        else this.#exclusively(() => this.#flush()).catch((error: unknown) => this.#options.onFailure(error));
      },
      Math.max(0, this.#closedMs + this.#options.lingerMs - performance.now()),
    );
  }

  async #flush(): Promise<void> {
    this.#steps.output.flush();
    const batches = this.#steps.output.finished();
    if (batches.length > 0) await this.#publish(batches);
    await this.#inFlight;
  }

  /** All output that led to the state is durable before the state is. A checkpoint that fails is tried again soon; only the output must go on. */
  async #checkpoint(): Promise<void> {
    await this.#flush();
    // Nothing was processed since the start.
    if (this.#steps.findings.isWaiting) return;
    const { checkpoints, bus, checkpointMs, log } = this.#options;
    const { rawOffset } = this.state;
    const beganMs = performance.now();
    this.#uncheckpointedBytes = 0;
    try {
      await this.#metricsInFlight;
      await checkpoints.save(this.#partition, this.state.snapshot(), this.state.blocks());
      await bus.checkpointed(topics.raw, this.#partition, rawOffset);
      this.#checkpointOffset = rawOffset;
      await this.#report();
      this.#nextCheckpointMs = performance.now() + checkpointMs;
      this.#steps.rules.next = this.#nextRules ?? this.#steps.rules.next;
      this.#nextRules = undefined;
      this.times.checkpoints++;
      this.times.checkpointSeconds += (performance.now() - beganMs) / 1e3;
      this.times.lastCheckpointUnixMs = Date.now();
    } catch (thrown) {
      this.times.checkpointFailures++;
      this.#nextCheckpointMs = performance.now() + Math.min(checkpointMs, retryCheckpointMs);
      const remedy = thrown instanceof AppError ? thrown.remedy : '';
      // Another member's partition: whoever has it writes its checkpoints.
      if (!(thrown instanceof AppError && thrown.code === 'BUS_NOT_ASSIGNED')) this.#armCheckpoint();
      this.#limiter.once('checkpoint', (heldBack) =>
        log.error({ code: 'AGGREGATOR_CHECKPOINT_FAILED', partition: this.#partition, remedy, heldBack }, messageOf(thrown)),
      );
    }
  }

  /** One after the other: a position never goes back. */
  #report(): Promise<void> {
    const turn = this.#reporting.then(async () => {
      const { heldBytes, dispositions } = this.state;
      const stateLost = this.stateLost && performance.now() - this.#startedMs < toldStateLostMs;
      const metadata = encodeReport({ heldBytes, refusedMessages: dispositions.refusedMessages, stateLost });
      const position = { offset: this.#checkpointOffset, metadata };
      const told = `${position.offset} ${metadata}`;
      if (told === this.#reported) return;
      await this.#commit(position);
      this.#reported = told;
    });
    this.#reporting = turn.catch(() => undefined);
    return turn;
  }

  /** One request is in flight while the next batches are made; its failure shows at the next call. */
  async #publish(batches: readonly Uint8Array[]): Promise<void> {
    this.#closedMs = performance.now();
    this.#publishing++;
    const before = this.#inFlight;
    const append = before.then(() => this.#options.append(topics.events, this.#partition, batches));
    append.catch(() => undefined).finally(() => this.#publishing--);
    this.#inFlight = append;
    await before;
  }

  async #publishMetrics(batch: Uint8Array): Promise<void> {
    const before = this.#metricsInFlight;
    const append = before.then(() => this.#options.append(topics.metrics, this.#partition, [batch]));
    append.catch(() => undefined);
    this.#metricsInFlight = append;
    await before;
  }

  async #refuse(input: RefusedInput): Promise<void> {
    const { code, message } = input.error;
    const where = { code, partition: this.#partition, offset: input.offset };
    this.#limiter.once(code, (heldBack) => this.#options.log.warn({ ...where, heldBack }, message));
    const letter = encodeDeadLetter({
      stage: 'aggregator',
      target: '',
      error: input.error,
      topic: topics.raw,
      partition: this.#partition,
      offset: input.offset,
      payload: input.bytes.subarray(0, maxDeadLetterBytes),
    });
    const { bus, append: appendTo } = this.#options;
    const append = appendTo(topics.deadLetters, this.#partition % bus.partitions(topics.deadLetters), [letter]);
    append.catch(() => undefined);
    this.#letters.push(append);
    // Not one durable write each: a node that sends rubbish must not hold up the others of its partition.
    if (this.#letters.length >= maxOpenLetters) await this.#lettersDurable();
  }

  async #lettersDurable(): Promise<void> {
    const letters = this.#letters;
    this.#letters = [];
    await Promise.all(letters);
  }
}
