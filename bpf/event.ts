import type { RecordReader } from '../schema/record.ts';

/** What the aggregator knows when it words an event. */
export interface EventNames {
  /** The local end as people call it: shop/web-0, a namespace's name, an address. */
  readonly local: string;
  /** The far end likewise. */
  readonly far: string;
  /** Name of a value of a kernel enumeration on the record's node, undefined when the keyframe had none. */
  enumName(enumeration: string, value: number): string | undefined;
}

/** One variant of a probe's records as an event. */
export interface EventVariant {
  /** event.action */
  readonly action: string;
  /** event.type */
  readonly types: readonly string[];
  /** 1 info, 2 warning, 3 critical. */
  readonly severity: 1 | 2 | 3;
}

/** A number of a probe's record that its events carry in jitterscope.values. */
export interface EventValue {
  /** Key, unit included: srtt_us. Lower case, with underscores. */
  readonly name: string;
  /** Meaning, for the list of event fields. */
  readonly description: string;
  /** A non-negative safe integer; -1: this event does not have it. */
  read(record: RecordReader): number;
}

/** How a probe's records become events: everything but the fields that all events share. */
export interface EventDescription {
  /** jitterscope.type and jitterscope.probe. */
  readonly type: string;
  /** Number of the probe in record.h. */
  readonly probe: number;
  /** event.category */
  readonly category: readonly string[];
  /** By variant number. */
  readonly variants: ReadonlyMap<number, EventVariant>;
  /** event.reason; undefined when the kernel gives none. */
  reason(record: RecordReader, names: EventNames): string | undefined;
  /** The sentence. */
  message(record: RecordReader, names: EventNames): string;
  /** jitterscope.values, in the order of schema/event.ts. */
  readonly values?: readonly EventValue[];
  /** Events of the same kind withheld by the token bucket since the one before. */
  suppressed(record: RecordReader): number;
}
