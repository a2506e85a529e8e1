import type { Rule, Severity } from './rule.ts';

/** A finding that may come, or is open. */
export interface FindingState {
  /** First second in which `when` held. */
  startS: number;
  /** The last one. */
  heldS: number;
  /** Opened and not resolved; else pending. */
  firing: boolean;
  severity: Severity;
  /** Since when only a lower severity holds, and the highest of these; 0: none. */
  lowerS: number;
  lowerSeverity: Severity;
  /** Since when, and until when, nobody could see whether it holds, as sources were read too late; 0: it was always seen. */
  unseenFromS?: number;
  unseenToS?: number;
}

/** Whether what decides about a finding can be seen. */
export interface Sight {
  /** late: sources are read too seldom to say; off: nobody looks at some of it. */
  readonly state: 'clear' | 'late' | 'off';
  /** Seconds in which sources are read twice: a finding that no longer holds stays open as long, at least. */
  readonly leastKeepS: number;
}

export const clearSight: Sight = { state: 'clear', leastKeepS: 0 };

/** A finding about which nothing can be said for so long is over. */
const maxUnseenS = 60;

/** What a second does to a finding. `drop`: it is gone before it was opened; `lose`: nobody can say whether it still holds. */
export type Step = 'none' | 'open' | 'update' | 'resolve' | 'drop' | 'lose';

/** A finding that is pending since a second. */
export function pendingSince(second: number, severity: Severity): FindingState {
  return { startS: second, heldS: second, firing: false, severity, lowerS: 0, lowerSeverity: 1 };
}

/**
 * Takes one second in.
 * @param severity that holds; 0: none
 * @param resolves whether the rule's `resolve` holds
 * @param goneS since when its entity is gone; 0: it lives
 * @param sight asked only where no severity holds
 */
export function step(
  finding: FindingState,
  { forS, settleS, keepFiringForS }: Pick<Rule, 'forS' | 'settleS' | 'keepFiringForS'>,
  second: number,
  severity: Severity | 0,
  resolves: boolean,
  goneS: number,
  sight: Sight = clearSight,
): Step {
  if (!finding.firing) {
    if (severity === 0) return 'drop';
    finding.heldS = second;
    finding.severity = severity;
    if (second - finding.startS < forS + settleS) return 'none';
    finding.firing = true;
    return 'open';
  }
  if (goneS > 0 && (severity === 0 || second - goneS >= keepFiringForS)) return 'resolve';
  if (severity === 0) {
    finding.lowerS = 0;
    if (sight.state === 'late') return unseen(finding, second);
    finding.unseenFromS = 0;
    const keepS = Math.max(keepFiringForS, sight.leastKeepS);
    if (second - Math.max(finding.heldS, finding.unseenToS ?? 0) < keepS) return 'none';
    if (sight.state === 'off') return 'lose';
    return resolves ? 'resolve' : 'none';
  }
  finding.heldS = second;
  finding.unseenFromS = 0;
  if (severity > finding.severity) {
    finding.severity = severity;
    finding.lowerS = 0;
    return 'update';
  }
  if (severity === finding.severity) finding.lowerS = 0;
  else return stepDown(finding, forS, second, severity) ? 'update' : 'none';
  return 'none';
}

/** A finding must not end because a source was read late. */
function unseen(finding: FindingState, second: number): Step {
  finding.unseenFromS ||= second;
  finding.unseenToS = second;
  return second - finding.unseenFromS >= maxUnseenS ? 'lose' : 'none';
}

/** A lower severity takes over once it has held for `for`. */
function stepDown(finding: FindingState, forS: number, second: number, severity: Severity): boolean {
  if (finding.lowerS === 0) {
    finding.lowerS = second;
    finding.lowerSeverity = severity;
  } else if (severity > finding.lowerSeverity) finding.lowerSeverity = severity;
  if (second - finding.lowerS < forS) return false;
  finding.severity = finding.lowerSeverity;
  finding.lowerS = 0;
  return true;
}
