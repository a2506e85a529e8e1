import type { Native } from '../native/addon.ts';
import type { EventDescription } from './event.ts';

/** What a probe's selection asks of the running kernel. */
export type KernelFacts = Pick<Native, 'tracepointArgs' | 'hasMember'>;

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
  /** What is missing when one of `attach` cannot be attached, by program. Those that are not named: the probe fails. */
  readonly whenNotAttached: ReadonlyMap<string, Degradation>;
}

/** A kernel enumeration whose names keyframes must carry, because values differ between kernels. */
export interface KernelEnumeration {
  readonly name: string;
  /** Left out of the names: SK_RST_REASON_NO_SOCKET → NO_SOCKET. */
  readonly prefix: string;
}

/** One counter of a probe, in the counter map (bpf/include/counter.h). */
export interface ProbeMetric {
  /** enum metric */
  readonly number: number;
  /** Name in Prometheus. */
  readonly name: string;
  readonly help: string;
  /** What the key's bucket says: the label's name, and the enumeration that names its values. */
  readonly bucket: {
    readonly label: string;
    readonly enumeration: string;
    /** Names of its values, where the enumeration is the probe's own and not the kernel's. */
    readonly names?: ReadonlyMap<number, string>;
  };
  /** What is counted, for people: "resets sent". Left out where another metric counts the same in another way. */
  readonly seen?: string;
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
  /** What it costs, in words with figures. */
  readonly cost: string;
  /** What it cannot see. */
  readonly blindSpots: readonly string[];
  readonly event: EventDescription;
  /** Chooses programs by the kernel's BTF, never by its version. */
  select(kernel: KernelFacts): Selection;
}
