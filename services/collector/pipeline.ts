import type { Probe } from '../../bpf/probe.ts';
import { messageOf } from '../../core/app-error.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import type { CollectorBody, EnumNames } from '../../proto/collect.ts';
import { Batcher, type SealedBatch } from './batcher.ts';
import type { Clock } from './clock.ts';
import type { CollectorConfig } from './config.ts';
import type { Translator } from './conntrack/translator.ts';
import type { Counter, CounterTotals } from './counters.ts';
import type { Downtime, LifeSigns } from './downtime.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { KernelPlaces } from './kernel-places.ts';
import { keyframeParts } from './keyframe.ts';
import { LookTimer } from './look-timer.ts';
import { type CollectorMetrics, countSkipped } from './metrics.ts';
import { ProbeCounters } from './probe-counters.ts';
import type { ProbeHost } from './probe-host.ts';
import type { ProbeOrders } from './probe-orders.ts';
import { setupOf } from './probe-setup.ts';
import { Sampler, type SamplerParts } from './sampling/sampler.ts';
import { SteadyCounters } from './steady-counters.ts';

export interface PipelineParts {
  readonly clock: Clock;
  readonly identity: NodeIdentity;
  readonly bootId: string;
  /** Undefined: translated addresses are not looked up. */
  readonly translator: Translator | undefined;
  readonly host: ProbeHost;
  readonly orders: Pick<ProbeOrders, 'start' | 'configure' | 'follow' | 'close' | 'gaps'>;
  readonly places: KernelPlaces;
  readonly enums: readonly EnumNames[];
  readonly config: CollectorConfig;
  readonly lifeSigns: LifeSigns;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** What counters are read with. */
  readonly sampling: Pick<SamplerParts, 'native' | 'baselines' | 'cgroups'>;
  /** Spools a message and sends it. */
  ship(body: CollectorBody): void;
  /** Resolves when all that was shipped is spooled or refused. */
  written(): Promise<void>;
}

/** What the runtime says of several Pods is told together; one that is new and has no Pod is looked at again soon. */
const gatherMs = 20;
const waitingLookMs = 200;

/** The collector's path: chunks and looks at the node in, one ordered stream of messages out. */
export class CollectorPipeline {
  /** The hole before this start; undefined when there was none. */
  downtime: Downtime | undefined;
  readonly #parts: PipelineParts;
  readonly #batcher: Batcher;
  readonly #counters: ProbeCounters;
  readonly #steady: SteadyCounters;
  readonly #sampler: Sampler;
  readonly #looks = new LookTimer(() => this.#look());
  #timers: NodeJS.Timeout[] = [];
  #lingerTimer: NodeJS.Timeout | undefined;
  #keyframeDue = true;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    const { config, clock, places, sampling, host, metrics, log, limiter, ship } = parts;
    this.#counters = new ProbeCounters(host);
    this.#steady = new SteadyCounters(this.#counters, limiter, log);
    this.#sampler = new Sampler({
      ...sampling,
      metrics,
      log,
      limiter,
      intervalMs: config.sampleInterval,
      ship,
      bootNs: () => clock.bootNs(),
      counters: () => this.#readCounters(),
    });
    this.#batcher = new Batcher(
      config.batchSize,
      clock.offset,
      (batch) => this.#seal(batch),
      (keys) => this.#unknown(keys),
      { places, unnamed: () => this.#tellPlaces() },
    );
  }

  /** Looks at the node, attaches the probes, opens the session with a keyframe. */
  start(probes: readonly Probe[]): void {
    const { identity, clock, host, orders, config, lifeSigns, metrics } = this.#parts;
    identity.look(clock.bootNs());
    this.#known();
    host.open((chunk) => this.#receive(chunk));
    for (const probe of probes) {
      const { enabled, ...setup } = setupOf(config, probe);
      const { attached } = orders.start(probe, setup, enabled);
      if (attached.length > 0) this.downtime ??= lifeSigns.downtime(clock.wallNs());
    }
    if (this.downtime !== undefined) metrics.unobservedSeconds = Number(this.downtime.toUnixNs - this.downtime.fromUnixNs) / 1e9;
    this.#looks.start();
    this.#keyframe();
    this.#sampler.follow(identity.live());
    this.#sampler.start();
    this.#beat();
    this.#timers = [
      setInterval(() => this.#beat(), config.heartbeatInterval),
      setInterval(() => this.#tellLosses(), config.counterInterval),
      setInterval(() => this.wantKeyframe(), config.keyframeInterval),
    ];
  }

  /** Takes up what may change while it runs. */
  async configure(probes: readonly Probe[], config: CollectorConfig): Promise<void> {
    const { host, orders } = this.#parts;
    this.#sampler.setInterval(config.sampleInterval);
    for (const probe of probes) {
      const { enabled, thresholds = {}, ...settings } = setupOf(config, probe);
      host.set(probe.name, settings);
      host.setThresholds(probe.name, thresholds);
      await orders.configure(probe.name, enabled);
    }
  }

  /** Detaches, and hands on what is left. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#lingerTimer);
    this.#looks.stop();
    this.#parts.orders.close();
    await this.#parts.host.stop();
    this.#tellLosses();
    this.#batcher.flush();
    this.#beat();
    this.#sampler.stop();
    this.#parts.host.close();
    await this.#settle();
  }

  /** The last messages may be refused, and only now is there room again for what they would have told. */
  async #settle(): Promise<void> {
    const { written, log } = this.#parts;
    await written();
    if (!this.#batcher.pending) return;
    this.#batcher.flush();
    await written();
    const items = this.#batcher.skippedPending;
    if (items > 0)
      log.error({ code: 'COLLECTOR_SPOOL_FULL_AT_END', items }, 'the spool takes nothing more: nobody is told which items it refused last');
  }

  wantKeyframe(): void {
    this.#keyframeDue = true;
  }

  /** Looks at the node's namespaces, if that was not done just now. */
  lookNow(): void {
    this.#looks.now();
  }

  /** The runtime said something new. */
  lookSoon(afterMs = gatherMs): void {
    this.#looks.soon(afterMs);
  }

  /** What the kernel counted, read now; once the maps are closed, what was read last. */
  readTotals(): CounterTotals {
    return this.#counters.read();
  }

  /** A message found no room: its items are declared as skipped with the next batch. */
  refused({ batch, samples }: CollectorBody): void {
    if (!batch) {
      if (samples) this.#sampler.refused(samples);
      this.wantKeyframe();
      return;
    }
    countSkipped(this.#parts.metrics, 'disk_full', batch.count ?? 0);
    this.#batcher.skip(batch.firstItem ?? 0, batch.count ?? 0, 'disk_full');
    for (const range of batch.skipped ?? []) this.#batcher.skip(range.firstItem ?? 0, range.count ?? 0, range.reason ?? '');
    if ((batch.kernelLosses ?? []).length > 0) this.#batcher.tellKernelLossesAgain();
  }

  #receive(chunk: Buffer): void {
    this.#batcher.add(chunk);
    this.#lingerTimer ??= setTimeout(() => {
      this.#lingerTimer = undefined;
      this.#batcher.flush();
    }, this.#parts.config.batchLinger);
  }

  #seal(batch: SealedBatch): void {
    const { metrics, ship, translator, identity } = this.#parts;
    metrics.items += batch.count;
    metrics.batches++;
    const translations = translator?.translations(batch, identity.node, identity.held) ?? [];
    ship({ batch: { ...batch, translations } });
  }

  #beat(): void {
    const { clock, host, orders, log, ship } = this.#parts;
    if (clock.stepped()) {
      this.#batcher.flush();
      log.warn({ code: 'COLLECTOR_CLOCK_STEPPED' }, 'the wall clock was stepped by more than a second: timestamps follow it from here on');
    }
    clock.update();
    this.#batcher.clockOffset = clock.offset;
    this.#parts.translator?.closeIdle();
    this.#look();
    if (this.#keyframeDue) this.#keyframe();
    // Who begins to read at the heartbeat takes what is numbered below its next item for read.
    this.#batcher.flush();
    const { seconds, nanos } = clock.offset;
    ship({
      heartbeat: { bootNs: clock.bootNs(), clockOffset: { seconds, nanos }, nextItem: this.#batcher.nextItem, probeGaps: orders.gaps() },
    });
    if (host.running().length > 0) this.#signLife();
  }

  /** A record of who nobody knows: identity is told before it, or as soon as the runtime has answered. */
  #unknown(keys: readonly number[]): void {
    if (!this.#looks.mayAsk(keys)) return;
    this.#parts.identity.unknown();
    this.#looks.now();
  }

  #known(): void {
    const { identity, orders } = this.#parts;
    orders.follow();
    this.#batcher.setKnown(identity.cookies());
    this.#batcher.setKnownCgroups(identity.cgroupsOf(), identity.cgroups());
  }

  /** Identity goes out before the records that use it: what is gathered belongs to what was known. */
  #look(): void {
    const { identity, clock, metrics, ship, limiter, log } = this.#parts;
    metrics.identityScans++;
    try {
      const { told, gone } = identity.look(clock.bootNs());
      if (told !== undefined) {
        this.#batcher.flush();
        this.#known();
        ship({ identity: told });
      }
      if (identity.waiting) this.lookSoon(waitingLookMs);
      this.#sampler.follow(identity.live());
      if (gone.length > 0)
        this.#sampler.retire(
          gone,
          this.#steady.finals(gone, (counters) => this.#named(counters)),
        );
    } catch (thrown) {
      limiter.once('look', (heldBack) =>
        log.warn(
          { heldBack, code: 'COLLECTOR_LOOK_FAILED', cause: messageOf(thrown) },
          'the namespaces cannot be looked at; those that are known stay',
        ),
      );
    }
  }

  /** Counters of live namespaces, and of those of which nobody knew when they went. */
  #readCounters(): readonly Counter[] {
    const totals = this.#counters.read();
    const finals = this.#counters.sweep(new Set(this.#parts.identity.cookies()));
    return this.#named([...finals, ...totals.live()]);
  }

  #tellLosses(): void {
    const totals = this.#steady.totals();
    for (const { probe } of this.#parts.host.loaded()) this.#batcher.kernelLost(probe.number, totals.kernelLosses(probe.number));
  }

  /** Counters tell places, too, also those of which no record was emitted: their names go out before them. */
  #named<Counters extends readonly Counter[]>(counters: Counters): Counters {
    if (this.#parts.places.seeLabels(counters)) this.#tellPlaces();
    return counters;
  }

  /** Names of places go out before the records that tell them: a stack's id may have meant another stack before. */
  #tellPlaces(): void {
    this.#batcher.flush();
    this.#parts.ship({ identity: this.#parts.places.take() });
  }

  #keyframe(): void {
    this.#keyframeDue = false;
    this.#batcher.tellKernelLossesAgain();
    this.#batcher.flush();
    const { clock, identity, places, enums, bootId, ship } = this.#parts;
    const counters = this.#named(this.#steady.totals().live());
    const times = { nextItem: this.#batcher.nextItem, firstOffset: clock.firstOffset, bootNs: clock.bootNs(), bootId };
    const parts = keyframeParts(times, identity.all(), enums, counters, this.downtime, places.all());
    for (const keyframe of parts) ship({ keyframe });
    this.#sampler.keyframe();
  }

  /** Only who listens leaves a sign: the hole before a start reaches back to the last one who did. */
  #signLife(): void {
    const { lifeSigns, clock, limiter, log } = this.#parts;
    try {
      lifeSigns.write(clock.wallNs());
    } catch (thrown) {
      limiter.once('life-sign', (heldBack) =>
        log.warn(
          { heldBack, code: 'COLLECTOR_LIFE_SIGN_FAILED', cause: messageOf(thrown) },
          'the sign of life cannot be written: a later start cannot state its hole exactly',
        ),
      );
    }
  }
}
