/** What became of the samples of one partition, since it began. Plain numbers: part of the state. */
export interface SeriesCounters {
  /** Messages with samples. */
  messages: number;
  /** Targets and probes' counters that were read. */
  targets: number;
  /** Those, or values of them, that could not be used, by reason. */
  dropped: Record<string, number>;
  /** Targets whose series were folded into `other`, because there were too many. */
  folded: number;
  /** Times that a target's series went on under other labels. */
  moved: number;
  /** Namespaces that came and went before they could be read, as collectors told. */
  unseenNetns: number;
}

export function newSeriesCounters(): SeriesCounters {
  return { messages: 0, targets: 0, dropped: {}, folded: 0, moved: 0, unseenNetns: 0 };
}
