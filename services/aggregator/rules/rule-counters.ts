/** What the engine did not take. Whole numbers since the state began. */
export interface RuleCounters {
  /** Records and increments that were older than a window that asked for them. */
  late: number;
  /** Records whose local end nobody can name, or whose entity found no room. */
  unidentified: number;
  /** Values of annotations that are no numbers. */
  invalidParams: number;
  /** Findings that were not opened because a rule had too many, by rule. */
  readonly evictions: Record<string, number>;
}
