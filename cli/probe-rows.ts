import { probes } from '../bpf/registry.ts';
import { type ControlParams, controlError } from '../core/control.ts';
import { metrics } from '../schema/record.gen.ts';
import type { CounterTotals } from '../services/collector/counters.ts';
import type { Collector } from '../services/collector/main.ts';
import type { OrderedProbe } from '../services/collector/probe-orders.ts';

/** A probe of a running process, as `probes list` shows it. */
export interface ProbeRow extends OrderedProbe {
  /** Since the process began, of all namespaces. */
  readonly events: {
    /** What the probe wanted to tell: emitted, suppressed and lost. */
    readonly seen: number;
    readonly emitted: number;
    /** Withheld by the token bucket. */
    readonly suppressed: number;
    /** The kernel had no room for them. */
    readonly lost: number;
  };
}

/** All probes; none without a collector. */
export function probeRows(collector: Collector | undefined): ProbeRow[] {
  if (collector === undefined) return [];
  const totals = collector.counters();
  return collector.probes().map((probe) => rowOf(probe, totals));
}

/** Carries out what a client of the control socket orders. Throws COLLECTOR_* and CONTROL_*. */
export async function orderProbe(collector: Collector | undefined, params: ControlParams): Promise<ProbeRow> {
  const { name, enable, target, forMs } = params;
  if (
    typeof name !== 'string' ||
    typeof enable !== 'boolean' ||
    (target !== undefined && typeof target !== 'string') ||
    (forMs !== undefined && (!Number.isInteger(forMs) || (forMs as number) < 1 || (forMs as number) >= 2 ** 31))
  )
    throw controlError('CONTROL_REQUEST', { found: JSON.stringify(params).slice(0, 80) });
  if (collector === undefined) throw controlError('CONTROL_NO_COLLECTOR');
  const order = { enable, ...(target === undefined ? {} : { target }) };
  const probe = await collector.orderProbe(name, order, forMs as number | undefined);
  return rowOf(probe, collector.counters());
}

function rowOf(probe: OrderedProbe, totals: CounterTotals): ProbeRow {
  const number = probes.find(({ name }) => name === probe.name)?.number ?? 0;
  const [emitted, suppressed, lost] = [metrics.EMITTED, metrics.SUPPRESSED, metrics.RING_FULL].map((metric) => totals.sum(metric, number));
  return { ...probe, events: { seen: emitted + suppressed + lost, emitted, suppressed, lost } };
}
