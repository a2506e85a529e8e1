import type { NetnsHandle } from '../../../native/addon.ts';
import type { Reading } from '../sources/field-table.ts';
import type { SockdiagSource } from '../sources/sockdiag.ts';
import type { SourceTarget, TakeReading } from '../sources/source.ts';

/** What files that are read anyway tell of a namespace's TCP sockets. */
export interface SocketSigns {
  /** Sockets in use, of both families (sockstat): without one nobody listens. */
  readonly inuse: number;
  /** Tcp.PassiveOpens (snmp): a connection that enters an accept queue is one more. */
  readonly passiveOpens: number;
}

/** A listener that took another one's place, or has another backlog, shows at the latest after so many reads. */
const readsBetweenDumps = 5;

/**
 * The accept queues of one namespace. A dump walks the kernel's table of all listeners of the node; empty queues of the
 * same sockets stay empty while no connection is opened to them, and are told again without one.
 */
export class NetnsListeners {
  readonly #source: Pick<SockdiagSource, 'read'>;
  #told: (readonly [SourceTarget, Reading])[] = [];
  #omitted = 0;
  #queued = true;
  #signs: SocketSigns = { inuse: Number.NaN, passiveOpens: Number.NaN };
  #readsToDump = 0;

  constructor(source: Pick<SockdiagSource, 'read'>) {
    this.#source = source;
  }

  /**
   * @param anew true: asks the kernel whatever the signs say
   * @returns ports that were left out
   */
  read(handle: Pick<NetnsHandle, 'dump'>, signs: SocketSigns, anew: boolean, take: TakeReading): number {
    this.#readsToDump--;
    if (anew || this.#mayHaveChanged(signs)) this.#dump(handle, signs);
    for (const [target, reading] of this.#told) take(target, reading);
    return this.#omitted;
  }

  #mayHaveChanged({ inuse, passiveOpens }: SocketSigns): boolean {
    return this.#queued || this.#readsToDump <= 0 || inuse !== this.#signs.inuse || passiveOpens !== this.#signs.passiveOpens;
  }

  #dump(handle: Pick<NetnsHandle, 'dump'>, signs: SocketSigns): void {
    const told: (readonly [SourceTarget, Reading])[] = [];
    // What fails leaves the last answer as it is, and the next read asks again.
    this.#readsToDump = 0;
    if (signs.inuse > 0) this.#omitted = this.#source.read(handle, (target, reading) => told.push([target, reading]));
    this.#told = told;
    this.#queued = told.some(([, { values }]) => values[0] > 0);
    this.#signs = signs;
    this.#readsToDump = readsBetweenDumps;
  }
}
