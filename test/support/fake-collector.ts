import { randomBytes } from 'node:crypto';
import { createLog, LogLimiter } from '../../core/log.ts';
import { type Instant, instantOf } from '../../core/time.ts';
import type { CollectorBody } from '../../proto/collect.ts';
import { type GatewayTarget, socketTarget } from '../../services/collector/gateway-target.ts';
import { type CollectorMetrics, emptyCollectorMetrics } from '../../services/collector/metrics.ts';
import { Shipper } from '../../services/collector/shipper.ts';
import { type ExpectedEvents, idPrefixOf } from './expected-events.ts';
import { fateOf, maxRecordBytes, SyntheticNode } from './synthetic-node.ts';

const bootBaseNs = 7_000e9;
const stepNs = 100_000;
const phase = { lateOpen: false, moved: false };

export interface FakeCollectorOptions {
  /** Number of the synthetic node. Default 1. */
  readonly node?: number;
  readonly spoolDir: string;
  /** gRPC target of a gateway on this machine, there or not; or `gateway`. */
  readonly gatewayAddress?: string;
  readonly gateway?: GatewayTarget;
  readonly maxSpoolBytes?: number;
  /** What the node's wall clock shows at the start, Unix time in s. Default: a moment of November 2026. */
  readonly clockS?: number;
  /** Told of every item that must become an event. */
  readonly events: ExpectedEvents;
}

/** A collector without a kernel: numbered records of a synthetic node go through the real spool and the real sender. */
export class FakeCollector {
  readonly metrics: CollectorMetrics;
  /** 32 hex digits. */
  readonly session: string;
  readonly prefix: string;
  /** Number of the next item. */
  nextItem = 0;
  /** Its node's name. */
  get node(): string {
    return this.#node.name;
  }

  readonly #node: SyntheticNode;
  readonly #events: ExpectedEvents;
  readonly #shipper: Shipper;
  /** Time in which nothing happened, ns. */
  #passedNs = 0;
  #clockOffset = defaultOffset;

  private constructor(node: SyntheticNode, session: Buffer, events: ExpectedEvents, shipper: Shipper, metrics: CollectorMetrics) {
    this.#node = node;
    this.session = session.toString('hex');
    this.prefix = idPrefixOf(node.name, session);
    this.#events = events;
    this.#shipper = shipper;
    this.metrics = metrics;
  }

  /** Begins a session: sends first what earlier ones left in the spool. */
  static async start(options: FakeCollectorOptions): Promise<FakeCollector> {
    const node = new SyntheticNode(options.node ?? 1);
    const session = randomBytes(16);
    const metrics = emptyCollectorMetrics();
    const shipper = await Shipper.start({
      spoolDir: options.spoolDir,
      session: { node: node.name, session: session.toString('hex'), startedMs: Date.now() },
      maxBytes: options.maxSpoolBytes ?? 512 * 1024 * 1024,
      sender: {
        gateway: options.gateway ?? socketTarget(options.gatewayAddress ?? ''),
        version: 'test',
        maxInFlightBytes: 1024 * 1024,
        onKeyframeRequest: () => undefined,
      },
      metrics,
      log: createLog('silent'),
      limiter: new LogLimiter(),
      refused: () => undefined,
    });
    const collector = new FakeCollector(node, session, options.events, shipper, metrics);
    if (options.clockS !== undefined) collector.setClock(options.clockS);
    collector.#ship({
      keyframe: {
        nextItem: 0,
        firstOffset: collector.#clockOffset,
        part: 0,
        parts: 1,
        identity: { netns: node.namespacesAtStart() },
        enums: [{ name: 'sk_rst_reason', values: [{ value: 2, name: 'NO_SOCKET' }] }],
      },
    });
    return collector;
  }

  /** Ships a batch of so many records, and a heartbeat behind it. */
  batch(count: number): void {
    const firstItem = this.nextItem;
    const records = Buffer.alloc(count * maxRecordBytes);
    let bytes = 0;
    for (; this.nextItem < firstItem + count; this.nextItem++) {
      bytes += this.#node.write(this.nextItem, this.#bootNs, phase, records, bytes);
      if (fateOf(this.nextItem) === 'event') this.#events.expect(this.prefix, this.nextItem);
    }
    this.metrics.items += count;
    this.#ship({ batch: { firstItem, count, records: records.subarray(0, bytes), clockOffset: this.#clockOffset } });
    this.heartbeat();
  }

  /** Tells how far the node's time is: `aheadNs` behind the last record. */
  heartbeat(aheadNs = 0): void {
    this.#ship({ heartbeat: { bootNs: this.#bootNs + aheadNs, clockOffset: this.#clockOffset, nextItem: this.nextItem } });
  }

  /** Resolves when all that was shipped is in the spool. */
  async spooled(): Promise<void> {
    await this.#shipper.written();
  }

  /** Nothing happens on the node for so long. */
  pass(seconds: number): void {
    this.#passedNs += seconds * 1e9;
  }

  /** Somebody sets the node's wall clock, to a Unix time in s. */
  setClock(unixS: number): void {
    this.#clockOffset = { seconds: unixS - Math.floor(this.#bootNs / 1e9), nanos: 0 };
  }

  get #bootNs(): number {
    return bootBaseNs + this.#passedNs + this.nextItem * stepNs;
  }

  /** Ends the session; returns how many messages stay in the spool. Nothing waits for its namespace any more once they arrive. */
  async close(graceMs: number): Promise<number> {
    this.heartbeat(60e9);
    return this.#shipper.close(graceMs);
  }

  #ship(body: CollectorBody): void {
    this.#shipper.ship(body);
  }
}

const defaultOffset: Instant = instantOf(1_795_000_000_000_000_000n);
