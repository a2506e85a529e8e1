import { join } from 'node:path';
import { probes } from '../../bpf/registry.ts';
import type { EmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import { fileCheckpoints } from '../../services/aggregator/checkpoint.ts';
import { type Aggregator, startAggregator } from '../../services/aggregator/main.ts';
import type { PartitionState } from '../../services/aggregator/partition-state.ts';
import { probeSeriesOf } from '../../services/aggregator/series/probe-series.ts';
import { type Gateway, startGateway } from '../../services/gateway/main.ts';
import type { TcpOptions } from '../../services/gateway/tcp-listener.ts';
import { eventually } from '../lab/eventually.ts';
import { openBusOf } from './data-folder.ts';
import type { ExpectedEvents } from './expected-events.ts';

/** Bus and aggregator in this process, with a gateway that comes and goes. */
export class Hops {
  readonly bus: EmbeddedLog;
  readonly gatewayAddress: string;
  readonly aggregator: Aggregator;
  readonly #socketPath: string;
  #gateway: Gateway | undefined;

  private constructor(bus: EmbeddedLog, aggregator: Aggregator, socketPath: string) {
    this.bus = bus;
    this.aggregator = aggregator;
    this.#socketPath = socketPath;
    this.gatewayAddress = `unix:${socketPath}`;
  }

  static async start(dataDir: string): Promise<Hops> {
    const bus = await openBusOf(dataDir);
    const aggregator = await startAggregator({
      bus,
      checkpoints: fileCheckpoints(join(dataDir, 'state')),
      cluster: 'default',
      events: new Map(probes.map((probe) => [probe.number, probe.event])),
      series: { maxSeries: 200_000, probes: probeSeriesOf(probes) },
      maxHeldBytes: 8 * 1024 * 1024,
      maxBatchBytes: 256 * 1024,
      lingerMs: 50,
      checkpointMs: 60_000,
      log: createLog('silent'),
    });
    return new Hops(bus, aggregator, join(dataDir, 'collect.sock'));
  }

  /** @param tcp with it the gateway listens on TCP, too */
  async gatewayUp(tcp?: TcpOptions): Promise<Gateway> {
    this.#gateway = await startGateway({
      bus: this.bus,
      socketPath: this.#socketPath,
      tcp,
      ticks: false,
      maxInFlightBytes: 1024 * 1024,
      maxMemoryBytes: 2 ** 26,
      maxMessageBytes: 4 * 1024 * 1024,
      log: createLog('silent'),
    });
    return this.#gateway;
  }

  /** With 0 ms the streams break off in the middle. */
  async gatewayDown(graceMs: number): Promise<void> {
    await this.#gateway?.close(graceMs);
    this.#gateway = undefined;
  }

  /** The only partition's state, once everything in the raw log is processed. */
  async settled(): Promise<PartitionState> {
    await eventually('the aggregator has read everything', async () => {
      const lags = [...(await this.aggregator.lag()).values()];
      return lags.length > 0 && lags.every((lag) => lag === 0) && !this.aggregator.pending();
    });
    return this.aggregator.partitions().get(0) as PartitionState;
  }

  /** Tells every event of the events topic to `events`; returns how many there are. */
  async countEvents(events: ExpectedEvents): Promise<number> {
    const { earliest, next } = await this.bus.offsets(topics.events, 0);
    let count = 0;
    if (earliest === next) return count;
    for await (const fetch of this.bus.read(topics.events, 0, earliest, { until: next })) {
      for (const { value } of fetch.messages) {
        const view = decodeEventBatch(value);
        for (let row = 0; row < view.count; row++) {
          const [prefix = '', item] = view.id(row).split('-');
          events.seen(prefix, Number(item));
        }
        count += view.count;
      }
    }
    return count;
  }

  async close(): Promise<void> {
    await this.gatewayDown(1_000);
    await this.aggregator.close();
    await this.bus.close();
  }
}
