import type { Transition } from './finding.ts';

/** What a transition names beside its document's own fields: the parts of each signal's worst group, by slot. */
export type NamedParts = readonly (readonly string[])[];

/** Another group is named once it has been the worst for so long: it is no passing one. */
const renameS = 10;

/** Whom a finding names, and whom it would name now. */
export interface NamedGroups {
  /** Groups and far ends of the last transition but the end: windows are empty then. */
  named: Pick<Transition, 'by' | 'peers'> & { readonly parts: NamedParts };
  /** The groups that its sentence named last, as one text. */
  groups: string;
  /** Others that it would name, and since when. */
  otherGroups: string;
  otherSinceS: number;
}

/** A finding that has named nobody yet. */
export function namesNobody(): NamedGroups {
  return { named: { by: [], peers: [], parts: [] }, groups: '', otherGroups: '', otherSinceS: 0 };
}

/** Takes in what a transition names. @param groups those of its sentence */
export function noteNames(finding: NamedGroups, { by, peers }: Transition, parts: NamedParts, groups: string): void {
  Object.assign(finding, { named: { by, peers, parts }, groups, otherGroups: '' });
}

/** Whether the sentence would name others by now, for good. @param groups those of the second; '': some have no data, or nothing holds */
export function isRenamed(finding: NamedGroups, groups: string, second: number): boolean {
  if (groups === '' || groups === finding.groups) {
    finding.otherGroups = '';
    return false;
  }
  if (groups !== finding.otherGroups) {
    finding.otherGroups = groups;
    finding.otherSinceS = second;
  }
  return second - finding.otherSinceS >= renameS;
}
