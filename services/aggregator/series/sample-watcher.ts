import type { Pieces } from '../../../core/pieces.ts';
import type { SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import type { SourceFields } from './source-fields.ts';

/** Who looks on while samples and probes' counters are taken into the series: the rules. */
export interface SampleWatcher {
  /** Places of a source's fields that are looked at, 1 each; shorter than the source has fields, or undefined: not these. */
  watched(source: SourceFields): Uint8Array | undefined;
  /** Whether a time of the session moves its node's clock: then `advance` is due before what was read then is told. */
  isDue(session: SessionState, bootNs: number): boolean;
  advance(session: SessionState, bootNs: number): Pieces;
  /** A target of a watched source is about to be told: its values follow. @param readNs boot time at which it was read */
  reading(session: SessionState, contribution: Contribution, readNs: number): void;
  /**
   * A watched counter of the target rose, or was told for the first time.
   * @param increment since the value before; the value itself when `isFirst`
   * @param isFirst nothing was told of it before
   */
  counted(contribution: Contribution, field: number, increment: number, isFirst: boolean): void;
  /** A watched gauge of the target changed, or was told for the first time. */
  gauged(contribution: Contribution, field: number, value: number): void;
  /** A cycle is complete: whatever lives was read since the cycle before. @param isFull every value was told, none is missing */
  cycle(session: SessionState, isFull: boolean): void;
  /** All probes' counters of the session were told. */
  keyframe(session: SessionState): void;
}
