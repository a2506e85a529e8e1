import type { Reading } from './field-table.ts';

/** Labels of a target: device eth0, port 8080. */
export type TargetLabels = Readonly<Record<string, string>>;

/** Takes the values of one target; they are valid during the call. */
export type TakeReading = (target: SourceTarget, reading: Reading) => void;

/** What distinguishes the targets of one source within one namespace (or the node). */
export interface SourceTarget {
  /** Unlike the labels it tells a device that was made anew from the one before. */
  readonly key: string;
  readonly labels: TargetLabels;
}

/** A source that reads one file of /proc/net in each namespace. */
export interface NetnsFileSource {
  readonly name: string;
  /** File below /proc/net. */
  readonly file: string;
  /**
   * @param anew true: trusts nothing that was learnt from earlier reads
   * @returns false when the text is not what was expected
   */
  read(bytes: Buffer, take: TakeReading, anew: boolean): boolean;
}

/** The one target of a source that has no dimensions. */
export const wholeTarget: SourceTarget = { key: '', labels: {} };
