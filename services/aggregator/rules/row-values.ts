import type { SignalWindows } from './signal-windows.ts';
import { isAdditive, type SignalPlan } from './window-plan.ts';

const quantiles: Readonly<Record<string, number>> = { p50: 0.5, p95: 0.95, p99: 0.99 };

/** What a signal's window says of a row: of an entity, or of one group of it. By aggregation. */
export class RowValues {
  readonly #windows: SignalWindows;
  readonly #plans: readonly SignalPlan[];

  constructor(windows: SignalWindows) {
    this.#windows = windows;
    this.#plans = windows.plan.signals;
  }

  /** Whether nothing is in the window of a row. */
  isEmpty(signal: number, row: number): boolean {
    const { feed, main, second } = this.#plans[signal];
    const rows = this.#windows.rows[feed];
    return !(main >= 0 && rows.has(row, main)) && !(second >= 0 && rows.has(row, second));
  }

  /** The value of a row; NaN: absent. */
  value(signal: number, row: number): number {
    const plan = this.#plans[signal];
    const { aggregation, windowS, input } = plan.signal;
    const rows = this.#windows.rows[plan.feed];
    if (plan.sketch !== undefined) {
      const value = this.#windows.sketches[signal]?.value(row, this.#windows.foldedS, quantiles[aggregation] ?? 0) ?? Number.NaN;
      return plan.sketch === 'distinct' && Number.isNaN(value) ? 0 : value;
    }
    if (input.kind === 'counter' && input.per !== undefined) {
      const denominator = rows.value(row, plan.second);
      return denominator === 0 ? Number.NaN : rows.value(row, plan.main) / denominator;
    }
    if (aggregation === 'slope') return this.#slope(plan, row);
    const isGauge = input.kind === 'counter' && input.counter.kind === 'gauge';
    if (isAdditive(plan.signal)) return isGauge ? Number.NaN : rows.value(row, plan.main) / (aggregation === 'rate' ? windowS : 1);
    if (input.kind === 'record' || aggregation === 'last') return rows.value(row, plan.main);
    return this.#extreme(plan, row);
  }

  /** Extremes of what is kept by second: of gauges, and of counters' increments. */
  #extreme({ feed, main, signal }: SignalPlan, row: number): number {
    const rows = this.#windows.rows[feed];
    const isLeast = signal.aggregation === 'min';
    let extreme = Number.NaN;
    for (let back = 0; back < signal.windowS; back++) {
      const value = rows.bucket(row, main, back);
      if (!Number.isNaN(value) && (isLeast ? !(value >= extreme) : !(value <= extreme))) extreme = value;
    }
    return extreme;
  }

  /** Least squares over the window, a second. */
  #slope({ feed, main, second, signal }: SignalPlan, row: number): number {
    const rows = this.#windows.rows[feed];
    let [n, t1, t2, y1, ty] = [0, 0, 0, 0, 0];
    for (let back = 0; back < signal.windowS; back++) {
      const y = rows.bucket(row, main, back);
      const weight = second >= 0 ? rows.bucket(row, second, back) : !Number.isNaN(y) ? 1 : 0;
      if (weight === 0) continue;
      n += weight;
      t1 -= back * weight;
      t2 += back * back * weight;
      y1 += y;
      ty -= back * y;
    }
    const spread = n * t2 - t1 * t1;
    return spread === 0 ? Number.NaN : (n * ty - t1 * y1) / spread;
  }
}
