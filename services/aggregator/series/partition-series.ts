import type { ProbeSeries } from './probe-series.ts';
import { SampleInput } from './sample-input.ts';
import { SeriesClock } from './series-clock.ts';
import { SeriesStore } from './series-store.ts';

export interface SeriesOptions {
  /** Series of a partition; what comes beyond is folded into `other`. */
  readonly maxSeries: number;
  /** Metrics of the probes' counters, by number. */
  readonly probes: ReadonlyMap<number, ProbeSeries>;
}

/** The metrics of one partition: what samples say, as series with labels. */
export class PartitionSeries {
  readonly store: SeriesStore;
  readonly input: SampleInput;
  readonly clock: SeriesClock;

  constructor({ maxSeries, probes }: SeriesOptions) {
    this.store = new SeriesStore(maxSeries);
    this.input = new SampleInput(this.store, probes);
    this.clock = new SeriesClock(this.store);
  }
}
