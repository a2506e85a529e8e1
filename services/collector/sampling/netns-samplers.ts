import type { Log, LogLimiter } from '../../../core/log.ts';
import type { Native, NetnsHandle } from '../../../native/addon.ts';
import { withHint } from '../errors.ts';
import type { NetnsSampler } from './netns-sampler.ts';
import { UnseenNetns } from './unseen-netns.ts';

/** A namespace as the tracker knows it. */
export interface LiveNetns {
  readonly cookie: number;
  readonly inode: number;
  /** A path that leads into it, or did. */
  readonly path: string;
}

/** The namespaces that are read: one descriptor for each, from the look that found it until a last read. */
export class NetnsSamplers {
  readonly #native: Pick<Native, 'openNetns'>;
  readonly #make: (handle: NetnsHandle, cookie: number) => NetnsSampler;
  readonly #log: Log;
  readonly #limiter: LogLimiter;
  readonly #samplers = new Map<number, NetnsSampler>();
  readonly #unseen = new UnseenNetns();
  #neverOpened = 0;

  constructor(
    native: Pick<Native, 'openNetns'>,
    make: (handle: NetnsHandle, cookie: number) => NetnsSampler,
    log: Log,
    limiter: LogLimiter,
  ) {
    this.#native = native;
    this.#make = make;
    this.#log = log;
    this.#limiter = limiter;
  }

  get size(): number {
    return this.#samplers.size;
  }

  /** Namespaces that went before they could be read. */
  get unseen(): number {
    return this.#unseen.count + this.#neverOpened;
  }

  has(cookie: number): boolean {
    return this.#samplers.has(cookie);
  }

  values(): Iterable<NetnsSampler> {
    return this.#samplers.values();
  }

  /** Takes hold of the namespaces that are new; returns them. One that cannot be opened is tried again at the next look. */
  follow(live: Iterable<LiveNetns>): NetnsSampler[] {
    const namespaces = [...live];
    this.#unseen.look(namespaces.map(({ cookie }) => cookie));
    const added: NetnsSampler[] = [];
    for (const netns of namespaces) {
      const { cookie } = netns;
      if (this.#samplers.has(cookie)) continue;
      const handle = this.#open(netns);
      if (handle === undefined) continue;
      const sampler = this.#make(handle, cookie);
      this.#samplers.set(cookie, sampler);
      added.push(sampler);
    }
    return added;
  }

  /** The namespace is gone: the caller reads it a last time and closes it. Undefined when it was never held. */
  remove(cookie: number): NetnsSampler | undefined {
    const sampler = this.#samplers.get(cookie);
    if (sampler === undefined) this.#neverOpened++;
    this.#samplers.delete(cookie);
    return sampler;
  }

  close(): void {
    for (const sampler of this.#samplers.values()) sampler.close();
    this.#samplers.clear();
  }

  #open({ cookie, inode, path }: LiveNetns): NetnsHandle | undefined {
    try {
      const handle = this.#native.openNetns(path);
      // The process or the name may be another namespace's by now.
      // Before 5.14 a namespace cannot be asked for its cookie; held by a descriptor its inode is as good.
      if (handle.cookie === cookie || (handle.cookie === handle.inode && handle.inode === inode)) return handle;
      handle.close();
    } catch (thrown) {
      const { errnoName } = thrown as { errnoName?: string };
      if (errnoName !== 'ENOENT')
        this.#limiter.once('open-netns', (heldBack) =>
          this.#log.warn(
            { heldBack, code: 'COLLECTOR_NETNS_NOT_HELD', cause: withHint(thrown) },
            'a network namespace cannot be held: its counters are not read',
          ),
        );
    }
    return undefined;
  }
}
