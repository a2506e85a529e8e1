import type { ConfigReloader } from '../core/config/reload.ts';
import type { ControlMethod } from '../core/control.ts';
import { DeadLetterBox } from '../core/dead-letter-box.ts';
import type { Log } from '../core/log.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Config } from './config.ts';
import { viewOfRunning } from './config-view.ts';
import { deadLetterMethods } from './dlq-methods.ts';
import { checkFilter, type EventFilter, followEvents } from './event-feed.ts';
import { explainRunning } from './explain.ts';
import type { Pipeline } from './pipeline.ts';
import { orderProbe, probeRows } from './probe-rows.ts';
import type { StorageRates } from './storage-rates.ts';

/** What a running process answers on its control socket. */
export function controlMethods(
  pipeline: Pipeline,
  collector: Collector | undefined,
  reloader: Pick<ConfigReloader<Config>, 'status'>,
  rates: Pick<StorageRates, 'report'>,
  log: Log,
): ReadonlyMap<string, ControlMethod> {
  return new Map<string, ControlMethod>([
    ['tap', (params, signal) => tapOf(pipeline, filterOf(params), signal)],
    [
      'status',
      async function* () {
        yield {
          pid: process.pid,
          probes: collector?.probes() ?? [],
          session: collector?.session,
          identityProblem: collector?.identityProblem(),
          sinks: pipeline.sinks.ready(),
        };
      },
    ],
    [
      'probes',
      async function* () {
        yield* probeRows(collector);
      },
    ],
    [
      'order-probe',
      async function* (params) {
        yield await orderProbe(collector, params);
      },
    ],
    [
      'storage',
      async function* () {
        yield* rates.report();
      },
    ],
    [
      'config',
      async function* () {
        yield viewOfRunning(reloader.status);
      },
    ],
    ...deadLetterMethods(new DeadLetterBox(pipeline.bus), pipeline, log),
    ['explain', (params, signal) => explainRunning(pipeline, params, signal)],
    [
      'counters',
      async function* () {
        for (const counter of collector?.counters().live() ?? []) yield { ...counter, netns: collector?.netnsName(counter.net) };
      },
    ],
    [
      'dispositions',
      async function* () {
        yield {
          collector: collector?.metrics,
          gateway: pipeline.gateway.metrics,
          aggregator: [...pipeline.aggregator.partitions()].map(([partition, state]) => ({
            partition,
            rawOffset: state.rawOffset,
            nextEvent: state.nextEvent,
            expectedItems: state.expectedItems,
            unreadable: state.unreadable,
            ...state.dispositions,
          })),
          sinks: pipeline.sinks.stats().map((sink) => ({ ...sink, partitions: [...sink.partitions] })),
          bus: pipeline.bus.stats(),
          busLosses: Object.fromEntries(pipeline.busLosses),
        };
      },
    ],
  ]);
}

async function* tapOf({ bus, aggregator, aggregation }: Pipeline, filter: EventFilter, signal: AbortSignal): AsyncGenerator<string> {
  checkFilter(
    filter,
    [...aggregation.events.values()].map(({ type }) => type),
    aggregator.rules()?.rules.map(({ id }) => id),
  );
  yield* followEvents(bus, filter, signal);
}

function filterOf(params: Readonly<Record<string, unknown>>): EventFilter {
  const { type, namespace, pod, kind } = params;
  return {
    ...(typeof type === 'string' ? { type } : {}),
    ...(typeof namespace === 'string' ? { namespace } : {}),
    ...(typeof pod === 'string' ? { pod } : {}),
    ...(kind === 'event' || kind === 'alert' ? { kind } : {}),
  };
}
