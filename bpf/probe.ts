import type { Native } from '../native/addon.ts';
import type { EventDescription } from './event.ts';

/** What a probe's selection asks of the running kernel. */
export interface KernelFacts extends Pick<Native, 'tracepointArgs' | 'hasMember'> {
  /** Whether an object loads as it is, for what is known only by trying; left out: it does not. @param object without .bpf.o */
  loads?(object: string): boolean;
  /** Whether the operator lets programs run at every system call of the node; left out: no. */
  readonly hookSystemCalls?: boolean;
}

/** Something that a probe cannot do on this kernel; the rest of it works. */
export interface Degradation {
  /** What is not seen: "owners of sockets". */
  readonly what: string;
  readonly reason: string;
  /** What the reader can do about it. */
  readonly remedy: string;
}

/** Which programs of a probe's object suit the running kernel. */
export interface Selection {
  /** To load; all others of the object are switched off before. */
  readonly programs: readonly string[];
  /** To attach, in this order. */
  readonly attach: readonly string[];
  /** iter/ programs to run once, after attaching. */
  readonly iterators: readonly string[];
  readonly degraded: readonly Degradation[];
  /** What each of the programs sees, for people: "sent resets". It is missing when the kernel rejects the program. */
  readonly sees: ReadonlyMap<string, string>;
  /** Where more is known of why a program may be rejected. */
  readonly whenNotAttached: ReadonlyMap<string, Degradation>;
}

/** A kernel enumeration whose names keyframes must carry, because values differ between kernels. */
export interface KernelEnumeration {
  readonly name: string;
  /** Left out of the names: SK_RST_REASON_NO_SOCKET → NO_SOCKET. */
  readonly prefix: string;
}

/** What any metric of a probe says of itself. */
interface ProbeMetricBase {
  /** enum metric */
  readonly number: number;
  /** Name in Prometheus. */
  readonly name: string;
  readonly help: string;
  /** What is counted, for people: "resets sent". Left out where another metric counts the same in another way. */
  readonly seen?: string;
}

/** A count, in the counter map (bpf/include/counter.h). */
export interface ProbeCounter extends ProbeMetricBase {
  readonly kind?: 'counter';
  /** What the key's bucket says: the label's name, and the enumeration that names its values. Left out where it is always 0. */
  readonly bucket?: {
    readonly label: string;
    readonly enumeration: string;
    /** Names of its values, where the enumeration is the probe's own and not the kernel's. A value without one is its number. */
    readonly names?: ReadonlyMap<number, string>;
  };
  /**
   * What the key's label says: the label's name, and how its values are told: as the number they are, or, places in the
   * kernel's code that they are (distances from _stext), by the function that holds them.
   */
  readonly label?: { readonly label: string; readonly kind: 'number' | 'symbol' };
  /** Unit of the sum, where not events are counted. `us`: the name ends in seconds_total, the value is to be divided by 10^6. */
  readonly unit?: 'us' | 'bytes';
}

/**
 * A log2 histogram in the counter map (bpf/include/histogram.h). The key's bucket is the number of bits of the value:
 * bucket 0 counts the value 0, bucket i (1 to 64) the integers v with 2^(i-1) <= v < 2^i. Each entry holds the count of
 * its own bucket only, not of those below; a bucket without an entry has counted nothing. The count of the histogram is
 * the sum of its buckets, the sum of its values the metric `sum` (one entry, bucket 0). Label is 0.
 * Prometheus: le of bucket i is 2^i in `unit`, as values are cut to integers; cumulative; name ends in _seconds, so
 * le and sum are divided by 10^6.
 */
export interface ProbeHistogram extends ProbeMetricBase {
  readonly kind: 'histogram';
  /** Unit of the values that the buckets are made of. */
  readonly unit: 'us';
  /** enum metric: the sum of the values, in `unit`. */
  readonly sum: number;
}

export type ProbeMetric = ProbeCounter | ProbeHistogram;

/** A number that decides which of a probe's observations become events. Changed while the probe runs; counters do not change. */
export interface ProbeThreshold {
  /** With unit: slowConnectUs. */
  readonly name: string;
  readonly meaning: string;
  /** Section of the object that holds it, a u32 at this offset. */
  readonly section: string;
  readonly offset: number;
  /** What the object starts with. */
  readonly default: number;
}

/** One field of a probe's records whose meaning is the probe's own. */
export interface ProbeField {
  /** Name in struct record. */
  readonly name: string;
  /** Variants that fill it. */
  readonly variants: readonly number[];
  readonly meaning: string;
  /** Unit of the number; undefined where it counts nothing. */
  readonly unit?: string;
}

/** What a probe asks of the running kernel's names before it is attached. */
export interface KernelNames {
  /** Address of _stext, from which places in code are told; undefined where the kernel hides its symbols. */
  readonly stext: bigint | undefined;
  /** Code of the functions of a name, as distances from _stext. */
  codeOf(name: string): readonly { readonly start: number; readonly bytes: number }[];
  /** Members of a kernel enumeration as [value, name]. */
  enumValues(enumeration: string): readonly (readonly [number, string])[] | undefined;
}

/** What is written into a probe's object between load and attach. */
export interface Preparation {
  /** Global data, by section. */
  readonly data: readonly { readonly section: string; readonly bytes: Uint8Array }[];
  readonly degraded: readonly Degradation[];
}

/** Places in the kernel's code that a probe's records tell. Their names are sent before the records. */
export interface RecordedPlaces {
  /** Byte offset in the record of a u32: distance of an instruction from _stext. */
  readonly siteAt: number;
  /** Map (BPF_MAP_TYPE_STACK_TRACE) that the records' stack ids are of. */
  readonly stackMap: string;
}

/** A probe: one folder of bpf/ and one line of registry.ts. */
export interface Probe {
  /** Name of the folder, the object and event.type. */
  readonly name: string;
  /** enum probe in record.h */
  readonly number: number;
  /** File name of the object: tcpreset.bpf.o. */
  readonly object: string;
  readonly summary: string;
  /** Name of each variant number. */
  readonly variants: ReadonlyMap<number, string>;
  readonly enumerations: readonly KernelEnumeration[];
  readonly metrics: readonly ProbeMetric[];
  readonly fields: readonly ProbeField[];
  readonly thresholds?: readonly ProbeThreshold[];
  /** What it costs, in words with figures. */
  readonly cost: string;
  /** What it cannot see. */
  readonly blindSpots: readonly string[];
  readonly event: EventDescription;
  readonly places?: RecordedPlaces;
  /** Chooses programs by the kernel's BTF, never by its version. */
  select(kernel: KernelFacts): Selection;
  /** What its programs must know of this kernel's names. */
  prepare?(kernel: KernelNames): Preparation;
}
