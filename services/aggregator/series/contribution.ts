import type { Labels } from './labels.ts';
import type { Place } from './place.ts';
import type { SeriesGroup } from './series-group.ts';
import type { SourceFields } from './source-fields.ts';

/** Sessions of which a contribution keeps the totals apart; of more, the first one's are taken for final. */
const maxSessions = 8;
/** What a contribution takes beside its values, as if it were values: one without any takes room, too. */
export const contributionRoom = 3;

/**
 * What one thing adds to the series of its labels: a namespace, a device of it, a container. It is known by the boot and
 * the kernel's own ids, so it outlives collectors, and a label set may have several, one after the other.
 */
export class Contribution {
  readonly key: string;
  readonly place: Place;
  readonly source: SourceFields;
  /** Its own dimensions, without those of the place. */
  own: Labels;
  /** What was told last, by place of the field. Of a probe: the sum over sessions. */
  values: Float64Array<ArrayBuffer>;
  /** What was told before a value fell: it counts on. */
  carry: Float64Array<ArrayBuffer> | undefined;
  /** 1 where a value was told. */
  known: Uint8Array<ArrayBuffer>;
  /** Of a probe: totals of each session. */
  readonly sessions: Map<string, Float64Array<ArrayBuffer>> | undefined;
  /** Boot time of the newest reading, ns. */
  readNs = 0;
  /** The series it adds to; undefined while nobody knows its labels. */
  group: SeriesGroup | undefined;
  /** False when it has ended; its totals stay. It may come back: what was not told by a full cycle may be told by the next. */
  live = true;
  /** Read a last time, and folded into its series: kept for a while so that late messages do not bring it back. */
  closed = false;
  /** When it ended, ms of the store's clock. */
  endedMs = 0;
  /** Boot time (ns) from which a reading shows that it is back; older ones only came late. */
  endedReadNs = 0;

  constructor(key: string, place: Place, source: SourceFields, own: Labels) {
    this.key = key;
    this.place = place;
    this.source = source;
    this.own = own;
    this.values = new Float64Array(source.fields.length);
    this.known = new Uint8Array(source.fields.length);
    if (source.ofProbe) this.sessions = new Map();
  }

  /** Room that it takes, in values. */
  get room(): number {
    return contributionRoom + this.values.length;
  }

  /** What it adds to a series that counts. */
  total(field: number): number {
    if (field >= this.values.length) return 0;
    return this.carry === undefined ? this.values[field] : this.carry[field] + this.values[field];
  }

  /** Takes in a value as the kernel has it; the field is within its values. Returns whether something changed. */
  set(field: number, value: number): boolean {
    const before = this.values[field];
    if (this.known[field] === 1 && value === before) return false;
    if (value < before && this.source.counts[field]) this.#carryOn(field, before);
    this.values[field] = value;
    this.known[field] = 1;
    return true;
  }

  /** Takes in a session's total. Sessions may come beside each other: one that was left behind is sent later. */
  setOfSession(session: string, field: number, value: number): boolean {
    const sessions = this.sessions as Map<string, Float64Array<ArrayBuffer>>;
    let totals = sessions.get(session);
    if (totals === undefined || totals.length < this.values.length) {
      totals = grown(totals ?? new Float64Array(0), this.values.length);
      if (!sessions.has(session) && sessions.size >= maxSessions) sessions.delete(sessions.keys().next().value as string);
      sessions.set(session, totals);
    }
    const added = value - totals[field];
    if (this.known[field] === 1 && added <= 0) return false;
    if (added > 0) {
      totals[field] = value;
      this.values[field] += added;
    }
    this.known[field] = 1;
    return true;
  }

  /** What it counted is in its series for good: its values need no room. */
  release(): void {
    this.values = noValues;
    this.known = noneKnown;
    this.carry = undefined;
  }

  /** Starts anew behind a close: what comes now is another thing with the same name, as a device that was made again. */
  reopen(): void {
    this.closed = false;
    const { counts } = this.source;
    // What was not folded is in no series yet: it must not get lost.
    for (let field = 0; field < this.values.length; field++) {
      if (counts[field] && this.values[field] > 0) this.#carryOn(field, this.values[field]);
    }
    this.values.fill(0);
  }

  /** Gets room for all fields that the source has by now. */
  grow(): void {
    const { length } = this.source.fields;
    this.values = grown(this.values, length);
    if (this.carry !== undefined) this.carry = grown(this.carry, length);
    const known = new Uint8Array(length);
    known.set(this.known);
    this.known = known;
  }

  #carryOn(field: number, before: number): void {
    if (this.carry === undefined || this.carry.length < this.values.length)
      this.carry = grown(this.carry ?? new Float64Array(0), this.values.length);
    this.carry[field] += before;
  }
}

const noValues = new Float64Array(0);
const noneKnown = new Uint8Array(0);

/** A longer copy. */
export function grown(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const longer = new Float64Array(length);
  longer.set(values);
  return longer;
}
