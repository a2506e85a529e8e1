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
}

/** What a second does to a finding: `drop`: it is gone before it was opened. */
export type Step = 'none' | 'open' | 'update' | 'resolve' | 'drop';

/** A finding that is pending since a second. */
export function pendingSince(second: number, severity: Severity): FindingState {
  return { startS: second, heldS: second, firing: false, severity, lowerS: 0, lowerSeverity: 1 };
}

/**
 * Takes one second in.
 * @param severity that holds; 0: none
 * @param resolves whether the rule's `resolve` holds
 * @param goneS since when its entity is gone; 0: it lives
 */
export function step(
  finding: FindingState,
  { forS, settleS, keepFiringForS }: Pick<Rule, 'forS' | 'settleS' | 'keepFiringForS'>,
  second: number,
  severity: Severity | 0,
  resolves: boolean,
  goneS: number,
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
    return resolves && second - finding.heldS >= keepFiringForS ? 'resolve' : 'none';
  }
  finding.heldS = second;
  if (severity > finding.severity) {
    finding.severity = severity;
    finding.lowerS = 0;
    return 'update';
  }
  if (severity === finding.severity) finding.lowerS = 0;
  else return stepDown(finding, forS, second, severity) ? 'update' : 'none';
  return 'none';
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
