import type { EventNames } from '../../../bpf/event.ts';
import { recordFlags } from '../../../schema/record.gen.ts';
import type { RecordReader } from '../../../schema/record.ts';
import type { FarEnd } from '../far-end.ts';
import type { CellRows } from './cell-rows.ts';
import { FarAddress } from './far-ends.ts';
import type { GroupTable } from './group-table.ts';
import { RecentRecords } from './recent-records.ts';
import type { RecordGroup, RecordNumber, RecordPredicate, RecordText } from './rule.ts';
import type { SketchRows } from './sketch-rows.ts';
import type { ProbePlan, RecordAdd, Selector } from './window-plan.ts';

/** Which event a record became. */
export interface EventPlace {
  /** Number of its session. */
  origin: number;
  item: number;
  /** Rises with each event of the partition. */
  order: number;
}

/** Where the windows of signals are. */
export interface WindowPlaces {
  readonly rows: readonly CellRows[];
  readonly groups: readonly (GroupTable | undefined)[];
  readonly sketches: readonly (SketchRows | undefined)[];
}

/** Kinds of records that are remembered: as many as eight bits tell apart. */
const kindSlots = 256;

/** The records of one probe on their way into windows. The hot path: nothing is made for a record. */
export class RecordIntake {
  readonly recent: RecentRecords;
  readonly #rows: CellRows;
  readonly #selectors: readonly SelectorIntake[];
  readonly #far = new FarAddress();
  /** By slot: a kind of records (its code apart), and what takes it. */
  readonly #kinds = new Int32Array(kindSlots).fill(-1);
  readonly #codes = new Int32Array(kindSlots);
  readonly #ofKind: (KindIntake | undefined)[] = new Array<KindIntake | undefined>(kindSlots).fill(undefined);
  /** Names of the kernel that kinds were remembered with. */
  #enumsTold: object | undefined;

  constructor(plan: ProbePlan, places: WindowPlaces) {
    this.recent = new RecentRecords(plan.selectors.length);
    this.#rows = places.rows[plan.feed];
    this.#selectors = plan.selectors.map((selector) => new SelectorIntake(selector, places));
  }

  /**
   * Adds a record to the signals that ask for it.
   * @param second its second; foldedS + 1 and the one behind are open
   * @param event undefined when it became none
   * @param enumsTold another object when names of the node's kernel are others
   * @returns false when a window no longer takes it
   */
  add(
    entity: number,
    second: number,
    foldedS: number,
    record: RecordReader,
    names: EventNames,
    end: FarEnd,
    event: EventPlace | undefined,
    enumsTold: object,
  ): boolean {
    const isLate = second <= foldedS;
    let isTaken = true;
    if (enumsTold !== this.#enumsTold) this.#forgetKinds(enumsTold);
    const kind = this.#kindOf(record, names);
    let isAsked = kind.isAlways;
    if (isAsked) {
      this.#begin(entity, record, end, kind.bits);
      if (isLate) isTaken = this.#late(kind, entity, second, foldedS, record, names, end);
      else this.#open(kind, entity, second, record, names, end);
    }
    const { asked } = kind;
    for (let place = 0; place < asked.length; place++) {
      const selector = asked[place];
      if (selector.asks !== undefined && !selector.asks(record, names)) continue;
      if ((selector.eventsOnly && event === undefined) || (selector.nodeOnly && entity !== 0)) continue;
      if (!isAsked) {
        isAsked = true;
        this.#begin(entity, record, end, kind.bits);
      }
      this.recent.bits[selector.index >> 5] |= 1 << (selector.index & 31);
      if (isLate) isTaken = this.#late(selector, entity, second, foldedS, record, names, end) && isTaken;
      else this.#open(selector, entity, second, record, names, end);
    }
    if (!isAsked) return true;
    this.recent.note(entity, second, this.#far);
    if (event !== undefined) this.recent.event(entity, second, this.#far, event.origin, event.item, event.order);
    return isTaken;
  }

  /** What takes records of its kind. */
  #kindOf(record: RecordReader, names: EventNames): KindIntake {
    const { code } = record;
    const rest = (record.variant << 10) | (record.proto << 2) | ((record.flags / recordFlags.CLIENT) & 3);
    const slot = Math.imul(code ^ (rest << 12), 0x9e3779b1) >>> 24;
    const known = this.#ofKind[slot];
    if (known !== undefined && this.#kinds[slot] === rest && this.#codes[slot] === (code | 0)) return known;
    const selectors = this.#selectors.filter(({ ofKind }) => ofKind === undefined || ofKind(record, names));
    const created = new KindIntake(selectors, this.recent.bits.length);
    this.#kinds[slot] = rest;
    this.#codes[slot] = code;
    this.#ofKind[slot] = created;
    return created;
  }

  #forgetKinds(enumsTold: object): void {
    this.#enumsTold = enumsTold;
    this.#kinds.fill(-1);
  }

  #begin(entity: number, record: RecordReader, end: FarEnd, taken: Int32Array): void {
    const { bits } = this.recent;
    for (let word = 0; word < bits.length; word++) bits[word] = taken[word];
    this.#far.of(record, end);
    if (entity >= this.#rows.rows) this.#rows.reach(entity);
  }

  #open({ counts, adds }: Taking, entity: number, second: number, record: RecordReader, names: EventNames, end: FarEnd): void {
    this.#rows.countAll(entity, counts, second & 1);
    for (let index = 0; index < adds.length; index++) adds[index].open(entity, second, record, names, this.#far, end);
  }

  #late(
    { counts, adds }: Taking,
    entity: number,
    second: number,
    foldedS: number,
    record: RecordReader,
    names: EventNames,
    end: FarEnd,
  ): boolean {
    let isTaken = true;
    for (const cell of counts) isTaken = this.#rows.addLate(entity, cell, second, 1) && isTaken;
    for (const add of adds) isTaken = add.late(entity, second, foldedS, record, names, this.#far, end) && isTaken;
    return isTaken;
  }
}

/** Where records go: cells that count each of them, and all other signals. */
interface Taking {
  readonly counts: Int32Array;
  readonly adds: readonly AddIntake[];
}

/** The selectors that may take records of one kind; all others are known not to. */
class KindIntake implements Taking {
  /** Of those that ask nothing more, together: one bit each, and where their records go. */
  readonly bits: Int32Array;
  readonly counts: Int32Array;
  readonly adds: readonly AddIntake[];
  /** Whether there are any. */
  readonly isAlways: boolean;
  /** The others. */
  readonly asked: readonly SelectorIntake[];

  constructor(selectors: readonly SelectorIntake[], words: number) {
    const always = selectors.filter(({ asks, eventsOnly, nodeOnly }) => asks === undefined && !eventsOnly && !nodeOnly);
    this.bits = new Int32Array(words);
    for (const { index } of always) this.bits[index >> 5] |= 1 << (index & 31);
    this.counts = Int32Array.from(always.flatMap(({ counts }) => [...counts]));
    this.adds = always.flatMap(({ adds }) => adds);
    this.isAlways = always.length > 0;
    this.asked = selectors.filter((selector) => !always.includes(selector));
  }
}

/** A selector with the places that its records go to. */
class SelectorIntake implements Taking {
  readonly index: number;
  readonly eventsOnly: boolean;
  readonly nodeOnly: boolean;
  /** Asked once for a kind of records. */
  readonly ofKind: RecordPredicate | undefined;
  /** Asked of each record. */
  readonly asks: RecordPredicate | undefined;
  readonly counts: Int32Array;
  readonly adds: readonly AddIntake[];

  constructor({ index, eventsOnly, nodeOnly, where, counts, adds }: Selector, places: WindowPlaces) {
    this.eventsOnly = eventsOnly;
    this.nodeOnly = nodeOnly;
    this.index = index;
    this.ofKind = where?.ofKind === true ? where : undefined;
    this.asks = where?.ofKind === true ? undefined : where;
    this.counts = Int32Array.from(counts);
    this.adds = adds.map((add) => new AddIntake(add, places));
  }
}

/** One signal that a record adds to. */
class AddIntake {
  readonly #value: RecordNumber | undefined;
  readonly #by: RecordNumber | RecordText | undefined;
  /** Parts of a group of several, and the keys of the record at hand. */
  readonly #parts: readonly RecordGroup[];
  readonly #keys: (number | string)[];
  readonly #groups: GroupTable | undefined;
  readonly #rows: CellRows;
  readonly #sketch: SketchRows | undefined;
  readonly #main: number;
  readonly #second: number;
  readonly #windowS: number;
  /** Its only cell counts records. */
  readonly #isCount: boolean;
  readonly #countsValues: boolean;

  constructor({ index, plan, input }: RecordAdd, { rows, groups, sketches }: WindowPlaces) {
    this.#value = input.value;
    const [first, ...more] = input.by ?? [];
    this.#by = first === undefined || first.of === 'peer' ? undefined : first.of;
    this.#parts = more.length === 0 ? [] : [first, ...more];
    this.#keys = this.#parts.map(() => '');
    this.#groups = groups[index];
    this.#rows = rows[plan.feed];
    this.#sketch = sketches[index];
    this.#main = plan.main;
    this.#second = plan.second;
    this.#windowS = plan.signal.windowS;
    this.#countsValues = plan.signal.aggregation === 'count';
    this.#isCount = input.value === undefined && plan.second < 0 && this.#rows.width === 1 && plan.sketch === undefined;
  }

  /** Adds to an open second. */
  open(entity: number, second: number, record: RecordReader, names: EventNames, far: FarAddress, end: FarEnd): void {
    const row = this.#groups === undefined ? entity : this.#groupRow(this.#groups, entity, record, names, far, end);
    if (row < 0) return;
    if (this.#isCount) {
      if (row >= this.#rows.rows) this.#rows.reach(row);
      this.#rows.count(row, second & 1);
      return;
    }
    const value = this.#value === undefined ? 1 : this.#value(record, names);
    if (Number.isNaN(value)) return;
    if (this.#sketch !== undefined) this.#sketch.add(row, second, value);
    else this.#rows.add(row, this.#main, second, this.#countsValues ? 1 : value);
    if (this.#second >= 0) this.#rows.add(row, this.#second, second, 1);
  }

  /** Adds to a second that was folded. Returns false when its window no longer takes it. */
  late(entity: number, second: number, foldedS: number, record: RecordReader, names: EventNames, far: FarAddress, end: FarEnd): boolean {
    const value = this.#value === undefined ? 1 : this.#value(record, names);
    if (Number.isNaN(value)) return true;
    if (second <= foldedS + 1 - this.#windowS) return false;
    const row = this.#groups === undefined ? entity : this.#groupRow(this.#groups, entity, record, names, far, end);
    if (row < 0) return true;
    if (this.#sketch !== undefined) this.#sketch.add(row, second, value);
    else this.#rows.addLate(row, this.#main, second, this.#countsValues ? 1 : value);
    if (this.#second >= 0) this.#rows.addLate(row, this.#second, second, 1);
    return true;
  }

  /** Row of the record's group; -1: it has none. */
  #groupRow(groups: GroupTable, entity: number, record: RecordReader, names: EventNames, far: FarAddress, end: FarEnd): number {
    if (this.#parts.length > 0) return this.#rowOfSeveral(groups, entity, record, names, far, end);
    if (this.#by === undefined) return far.isNone ? -1 : groups.rowOfPeer(entity, far, end);
    const key = this.#by(record, names);
    return key === '' || Number.isNaN(key) ? -1 : groups.rowOf(entity, key);
  }

  #rowOfSeveral(groups: GroupTable, entity: number, record: RecordReader, names: EventNames, far: FarAddress, end: FarEnd): number {
    let hasPeer = false;
    for (let part = 0; part < this.#parts.length; part++) {
      const { of } = this.#parts[part];
      if (of === 'peer') {
        if (far.isNone) return -1;
        hasPeer = true;
        continue;
      }
      const key = of(record, names);
      if (key === '' || Number.isNaN(key)) return -1;
      this.#keys[part] = key;
    }
    return groups.rowOfSeveral(entity, this.#keys, far, hasPeer ? end : undefined);
  }
}
