import type { ProbeGap } from '../probe-gaps.ts';
import { nodeIndex } from './entity-table.ts';
import type { Sight } from './finding-state.ts';
import type { Signal } from './rule.ts';
import type { PlannedRule } from './rule-plan.ts';

/** Why a signal cannot be seen, whatever its windows hold: nobody looks at it, or its source is read too seldom for its window. */
export type Blindness = 'PROBE_OFF' | 'READ_LATE' | undefined;

/** What the aggregator knows itself. */
const selfSources: ReadonlySet<string> = new Set(['node', 'pipeline']);

/** Seconds are evaluated at most so far behind the newest cycle. */
const latenessS = 4;

/** Whether a counter is read in cycles; what the aggregator knows itself is told with each tick. */
export function isCyclic({ input }: Signal): boolean {
  return input.kind === 'counter' && !selfSources.has(input.counter.source);
}

/**
 * Which signals of a set of entities can be seen now. A source that is read more seldom than twice in a window says
 * nothing about it: its sums would rise and fall with the readings. A probe that is off counts nothing.
 */
export class SignalSight {
  /** Second of the newest cycle; 0: none. */
  cycleS = 0;
  /** Seconds between the last two cycles; 0: there was no other. */
  intervalS = 0;
  /** And between the two before; 0: there were none. */
  earlierIntervalS = 0;
  readonly #signals: readonly Signal[];
  /** Number of the probe that a signal is of; -1: no probe's. */
  readonly #probes: Int32Array;
  /** 1: it is read in cycles. */
  readonly #isCyclic: Uint8Array;
  readonly #cookieOf: (entity: number) => number;
  /** By signal: 1: what is read in cycles is seen in its window. */
  readonly #isSeen: Uint8Array;
  /** Distances of cycles that a window may still hold: each is longer than all behind it. */
  #gapsOfCycles: CycleGap[] = [];
  readonly #longestS: number;
  /** The second that was refreshed last. */
  #second = 0;
  #gaps: readonly ProbeGap[] = [];
  /** Whether something of a probe is not looked at, by number. */
  #isGap = new Uint8Array(0);

  /**
   * @param probes numbers of the probes by name
   * @param cookieOf cookie of an entity's network namespace; 0: the node's own
   */
  constructor(signals: readonly Signal[], probes: ReadonlyMap<string, number>, cookieOf: (entity: number) => number) {
    this.#signals = signals;
    this.#cookieOf = cookieOf;
    this.#probes = Int32Array.from(signals, ({ input }) =>
      input.kind === 'record' ? input.probe : (probes.get(input.counter.source) ?? -1),
    );
    this.#isCyclic = Uint8Array.from(signals, (signal) => (isCyclic(signal) ? 1 : 0));
    this.#isSeen = new Uint8Array(signals.length);
    this.#longestS = signals.reduce((longest, signal) => (isCyclic(signal) ? Math.max(longest, signal.windowS) : longest), 0);
  }

  /** A cycle was completed in a second. */
  cycle(second: number): void {
    if (second <= this.cycleS) return;
    this.earlierIntervalS = this.intervalS;
    this.intervalS = this.cycleS === 0 ? 0 : second - this.cycleS;
    this.cycleS = second;
    const gaps = this.#gapsOfCycles.filter(([endS, gapS]) => endS > second - latenessS - this.#longestS && gapS > this.intervalS);
    this.#gapsOfCycles = [...gaps, [second, this.intervalS]];
  }

  /** For a checkpoint. */
  image(): SightImage {
    return { cycleS: this.cycleS, intervalS: this.intervalS, earlierIntervalS: this.earlierIntervalS, gaps: this.#gapsOfCycles };
  }

  restore({ cycleS, intervalS, earlierIntervalS, gaps }: SightImage): void {
    Object.assign(this, { cycleS, intervalS, earlierIntervalS });
    this.#gapsOfCycles = [...gaps];
  }

  /** The clock begins anew. */
  restart(): void {
    this.cycleS = 0;
    this.intervalS = 0;
    this.earlierIntervalS = 0;
    this.#gapsOfCycles = [];
  }

  /** A second is evaluated. @returns cyclic signals that are seen now and were not, or the other way round */
  refresh(second: number): readonly number[] {
    this.#second = second;
    const changed: number[] = [];
    for (let signal = 0; signal < this.#signals.length; signal++) {
      if (this.#isCyclic[signal] === 0) continue;
      const { windowS } = this.#signals[signal];
      const isSeen = this.cycleS > 0 && Math.max(second - this.cycleS, this.gapS(signal)) <= longestGapS(windowS) ? 1 : 0;
      if (isSeen === this.#isSeen[signal]) continue;
      this.#isSeen[signal] = isSeen;
      changed.push(signal);
    }
    return changed;
  }

  /**
   * How far apart the readings were that a signal's window holds now, seconds: what a counter rose by between them is in it as a
   * whole. A gauge is what was read last.
   */
  gapS(signal: number): number {
    const { input, windowS } = this.#signals[signal];
    if (input.kind === 'counter' && input.counter.kind === 'gauge') return this.intervalS;
    return this.#gapsOfCycles.find(([endS]) => endS > this.#second - windowS)?.[1] ?? this.intervalS;
  }

  /** What probes do not look at, all of it. @returns whether it changed */
  tellGaps(gaps: readonly ProbeGap[]): boolean {
    if (gaps === this.#gaps) return false;
    this.#gaps = gaps;
    this.#isGap = new Uint8Array(1 + gaps.reduce((most, { probe }) => Math.max(most, probe), 0));
    for (const { probe } of gaps) this.#isGap[probe] = 1;
    return true;
  }

  /** Why a signal of an entity cannot be seen. */
  of(entity: number, signal: number): Blindness {
    const probe = this.#probes[signal];
    if (probe >= 0 && this.#isGap[probe] === 1 && this.#isOff(entity, probe)) return 'PROBE_OFF';
    if (this.isRead(signal) || this.cycleS === 0) return undefined;
    return 'READ_LATE';
  }

  /** Whether readings of a signal's source lie in its window; of what is not read in cycles always. */
  isRead(signal: number): boolean {
    return this.#isCyclic[signal] === 0 || this.#isSeen[signal] === 1;
  }

  /**
   * Whether what a rule decides by can be seen of an entity. What is 0 where nobody looks says so itself, as long as
   * something else is looked at.
   */
  ofRule({ signals, ofNode, deciding }: Pick<PlannedRule, 'signals' | 'ofNode' | 'deciding'>, entity: number): Sight {
    let [isLate, isOff, offCount, leastKeepS] = [false, false, 0, 0];
    for (const slot of deciding) {
      const signal = signals[slot];
      const blindness = this.of(ofNode[slot] === 1 ? nodeIndex : entity, signal);
      if (blindness === 'PROBE_OFF') {
        offCount++;
        isOff ||= this.#signals[signal].absent !== 'zero';
      } else if (blindness === 'READ_LATE') isLate = true;
      if (this.#isCyclic[signal] === 1) leastKeepS = 2 * this.intervalS;
    }
    isOff ||= offCount > 0 && offCount === deciding.length;
    return { state: isLate ? 'late' : isOff ? 'off' : 'clear', leastKeepS };
  }

  /** What the probe of a signal does not look at. */
  gapsOf(signal: number): readonly ProbeGap[] {
    return this.#gaps.filter(({ probe }) => probe === this.#probes[signal]);
  }

  #isOff(entity: number, probe: number): boolean {
    const cookie = this.#cookieOf(entity);
    return this.#gaps.some((gap) => {
      if (gap.probe !== probe) return false;
      if (gap.state === 'off' || gap.state === 'failed') return true;
      if (gap.state === 'listed') return !gap.netns.includes(cookie);
      return gap.state === 'unlisted' && gap.netns.includes(cookie);
    });
  }
}

/** Seconds between two cycles, by the second of the later one. */
type CycleGap = readonly [endS: number, gapS: number];

/** When sources were read, in a checkpoint. */
export interface SightImage extends Pick<SignalSight, 'cycleS' | 'intervalS' | 'earlierIntervalS'> {
  readonly gaps: readonly CycleGap[];
}

/** Two readings must lie in a window; whole seconds may make a gap one longer than it was. */
function longestGapS(windowS: number): number {
  return Math.floor(windowS / 2) + 1;
}
