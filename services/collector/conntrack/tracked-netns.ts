import { existsSync } from 'node:fs';
import type { NativeFailure, NetnsHandle } from '../../../native/addon.ts';
import {
  connectionRequest,
  netlinkNetfilter,
  parseConnection,
  parseEntries,
  statsRequest,
  type TrackedConnection,
  type Tuple,
} from './ctnetlink.ts';

export interface TrackedNetnsParts {
  /** Opens a namespace by its cookie; undefined when nobody knows it any longer. Throws when it cannot be entered. */
  open(cookie: number): NetnsHandle | undefined;
  nowMs(): number;
  kernelTracks?(): boolean;
}

interface Netns {
  readonly handle: NetnsHandle;
  entries: number;
  countedMs: number;
  usedMs: number;
}

/** The node's is what most translation happens in: the first connection after a quiet time is not to be missed. */
const nodeCountMs = 50;
const countMs = 500;
const idleMs = 5_000;
const kernelMs = 10_000;
const maxNetns = 256;

/** Connection tracking of the namespaces that records come from. Descriptors are let go when no record has come for a while. */
export class TrackedNetns {
  readonly #parts: TrackedNetnsParts;
  readonly #open = new Map<number, Netns>();
  /** Namespaces that could not be opened, and until when that is not tried again: a burst of records of one that dies asks once. */
  readonly #shut = new Map<number, number>();
  #tracks = false;
  #tracksMs = -Infinity;
  /** Why namespaces cannot be asked; undefined while they can. */
  problem: string | undefined;

  constructor(parts: TrackedNetnsParts) {
    this.#parts = parts;
  }

  /** Whether a namespace has connections to ask for. `isNode`: it is the node's own. */
  tracks(cookie: number, isNode: boolean): boolean {
    const nowMs = this.#parts.nowMs();
    if (nowMs - this.#tracksMs >= kernelMs) {
      this.#tracksMs = nowMs;
      this.#tracks = (this.#parts.kernelTracks ?? kernelTracks)();
    }
    if (!this.#tracks) return false;
    const netns = this.#netns(cookie, nowMs);
    if (netns === undefined) return false;
    netns.usedMs = nowMs;
    if (nowMs - netns.countedMs >= (isNode ? nodeCountMs : countMs)) {
      netns.countedMs = nowMs;
      const answer = this.#ask(netns, statsRequest);
      netns.entries = answer === undefined ? 0 : parseEntries(answer);
    }
    return netns.entries > 0;
  }

  /** The connection with this tuple; undefined when there is none. */
  connection(cookie: number, proto: number, tuple: Tuple): TrackedConnection | undefined {
    const netns = this.#open.get(cookie);
    const answer = netns && this.#ask(netns, connectionRequest(proto, tuple));
    return answer && parseConnection(answer);
  }

  /** Lets go of namespaces that no record came from lately. */
  closeIdle(): void {
    const nowMs = this.#parts.nowMs();
    for (const [cookie, { handle, usedMs }] of this.#open) {
      if (nowMs - usedMs < idleMs) continue;
      handle.close();
      this.#open.delete(cookie);
    }
  }

  close(): void {
    for (const { handle } of this.#open.values()) handle.close();
    this.#open.clear();
  }

  #netns(cookie: number, nowMs: number): Netns | undefined {
    const known = this.#open.get(cookie);
    if (known !== undefined || this.#open.size >= maxNetns || nowMs < (this.#shut.get(cookie) ?? 0)) return known;
    if (this.#shut.size >= maxNetns) this.#shut.clear();
    this.#shut.set(cookie, nowMs + countMs);
    try {
      const handle = this.#parts.open(cookie);
      if (handle === undefined) return undefined;
      this.#shut.delete(cookie);
      const netns = { handle, entries: 0, countedMs: -Infinity, usedMs: nowMs };
      this.#open.set(cookie, netns);
      return netns;
    } catch (thrown) {
      this.#failed(thrown);
      return undefined;
    }
  }

  #ask({ handle }: Netns, request: Buffer): Buffer | undefined {
    try {
      const answer = handle.dump(netlinkNetfilter, request);
      this.problem = undefined;
      return answer;
    } catch (thrown) {
      if ((thrown as Partial<NativeFailure>).errnoName !== 'ENOENT') this.#failed(thrown);
      return undefined;
    }
  }

  #failed(thrown: unknown): void {
    this.problem = thrown instanceof Error ? thrown.message : String(thrown);
  }
}

/** Whether the kernel tracks connections at all. Asking it by netlink would load its module. */
export function kernelTracks(): boolean {
  return existsSync('/proc/sys/net/netfilter/nf_conntrack_max');
}
