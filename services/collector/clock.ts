import { type Instant, instantOf } from '../../core/time.ts';
import type { Native } from '../../native/addon.ts';

/** The node's clocks: records carry boot time, documents wall time. */
export class Clock {
  readonly #native: Pick<Native, 'clocks'>;
  /** Offset from boot time to wall time at the session's start; never changes. */
  readonly firstOffset: Instant;
  #offsetNs: bigint;
  #epochs = 0;

  constructor(native: Pick<Native, 'clocks'>) {
    this.#native = native;
    this.#offsetNs = this.#read();
    this.firstOffset = instantOf(this.#offsetNs);
  }

  /** The current offset. */
  get offset(): Instant {
    return instantOf(this.#offsetNs);
  }

  /** Times the wall clock was set by more than a second. */
  get epochs(): number {
    return this.#epochs;
  }

  /** Boot time now, ns. */
  bootNs(): number {
    return Number(this.#native.clocks().bootNs);
  }

  /** Wall time now, ns. */
  wallNs(): bigint {
    return this.#native.clocks().wallNs;
  }

  /** Reads the offset again. True when the wall clock was stepped: what is gathered belongs to the offset before. */
  stepped(): boolean {
    const offsetNs = this.#read();
    const stepNs = offsetNs - this.#offsetNs;
    return stepNs > 1_000_000_000n || stepNs < -1_000_000_000n;
  }

  /** Takes the current offset over. */
  update(): void {
    if (this.stepped()) this.#epochs++;
    this.#offsetNs = this.#read();
  }

  #read(): bigint {
    const { bootNs, wallNs } = this.#native.clocks();
    return wallNs - bootNs;
  }
}
