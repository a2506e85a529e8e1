import type { RecordReader } from '../schema/record.ts';

/** What the aggregator knows when it words an event. */
export interface EventNames {
  /** The local end as people call it: shop/web-0, a namespace's name, an address. */
  readonly local: string;
  /** The far end likewise. */
  readonly far: string;
  /** Who sent a forwarded packet (side 0), likewise. */
  readonly origin: string;
  /** Name of a value of a kernel enumeration on the record's node, undefined when the keyframe had none. */
  enumName(enumeration: string, value: number): string | undefined;
  /** Kernel function at a distance from _stext on the record's node, undefined when nobody told it. */
  symbol(offset: number): string | undefined;
  /** Functions of a stack of the record's session, innermost first, undefined when nobody told it. */
  stack(id: number): readonly string[] | undefined;
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

/** A text, or a list of texts, that events of a probe carry in jitterscope.<group>. */
export interface EventText {
  /** Key, lower case, with underscores. */
  readonly name: string;
  /** Undefined: this event does not have it. */
  read(record: RecordReader, names: EventNames): string | readonly string[] | undefined;
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
  /** network.type of a packet without an IP header (family 0): arp. */
  networkType?(record: RecordReader): string | undefined;
  /** jitterscope.values, in the order of schema/event.ts. */
  readonly values?: readonly EventValue[];
  /** jitterscope.<group>, in the order of schema/event.ts. */
  readonly texts?: { readonly group: string; readonly list: readonly EventText[] };
  /** Events of the same kind withheld by the token bucket since the one before. */
  suppressed(record: RecordReader): number;
}
