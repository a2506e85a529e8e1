/**
 * What became of a partition's items. At all times
 *   itemsIn = events + counted + rejected + repeats + held     and     expected = itemsIn - repeats + gaps
 * where expected is the sum of the sessions' next item numbers (from where each was first read).
 */
export interface Dispositions {
  /** Items that arrived, repeats included. */
  itemsIn: number;
  /** Items that became an event. */
  events: number;
  /** Items that are counted only. */
  counted: number;
  /** Items that no probe can read, by reason. */
  rejected: Record<string, number>;
  /** Items that had been seen before. */
  repeats: number;
  /** Items that never came, by exact number. */
  gaps: number;
  /** The part of the gaps that the collector declared, by reason. */
  skipped: Record<string, number>;
  /** Items that wait for the identity of their ends now. */
  held: number;
  /** Items of whose local end nobody knew whose it is, after they had waited. */
  unidentified: number;
  /** Items whose cgroup is of a container, but whose namespace is not its Pod's: the namespace named them. */
  foreignCgroups: number;
  /** Records the kernel had no room for, by probe number: never items. */
  kernelLost: Record<string, number>;
  /** Events that the token buckets withheld, as told by the events that follow. */
  suppressed: number;
  /** Records beyond the count of their batch: they have no number, so they are no items. */
  unnumbered: number;
  /** Documents of findings: opened, updated, resolved. They are no items. */
  findings: number;
  /** Sessions that were forgotten because a node had too many, or there were too many nodes. */
  forgottenSessions: number;
  /** Messages that went to the DLQ. */
  refusedMessages: number;
}

export function emptyDispositions(): Dispositions {
  return {
    itemsIn: 0,
    events: 0,
    counted: 0,
    rejected: {},
    repeats: 0,
    gaps: 0,
    skipped: {},
    held: 0,
    unidentified: 0,
    foreignCgroups: 0,
    kernelLost: {},
    suppressed: 0,
    unnumbered: 0,
    findings: 0,
    forgottenSessions: 0,
    refusedMessages: 0,
  };
}

/** Keys of one record of counts: reasons come from outside. */
const maxKeys = 64;
const plausibleKey = /^(?!__proto__$)[\w:.-]{1,64}$/;

/** Adds to one entry of a record of counts; what is no plausible key, or one too many, is counted as `other`. */
export function addTo(counts: Record<string, number>, key: string, n: number): void {
  const known = Object.hasOwn(counts, key) || (plausibleKey.test(key) && Object.keys(counts).length < maxKeys);
  const entry = known ? key : 'other';
  counts[entry] = (counts[entry] ?? 0) + n;
}
