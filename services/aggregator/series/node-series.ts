import type { SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import type { Place } from './place.ts';
import type { SourceFields } from './source-fields.ts';
import { labelsOfOther } from './target-labels.ts';

/** Stands for the namespaces that a full counter map could not tell apart. */
export const otherNetns = -1;

/** Boots of a node that are told apart. */
const maxBoots = 16;
/** A boot of which nothing was heard for so long is not the one that lives, if another is heard. */
const bootHeardMs = 60_000;

/** One boot of a node. */
export interface Boot {
  /** When it began by the node's own clock, Unix seconds. */
  readonly startedUnixS: number;
  /** When something was heard of it last, ms of the store's clock. */
  heardMs: number;
}

/** A SampleLayout: where its fields stand in the source's arrays. -1: nowhere. */
export interface SampleFields {
  readonly source: SourceFields;
  readonly places: Int32Array<ArrayBuffer>;
}

/** What samples of one session refer to. */
export interface SampleSession {
  /** Undefined until a keyframe tells it. */
  bootId: string | undefined;
  readonly layouts: Map<number, SampleFields>;
  /** Boot time of the first reading of the full cycle that is under way. */
  cycleStartNs: number | undefined;
  /** A message of the cycle is missing: it cannot tell what is gone. */
  broken: boolean;
  /** Namespaces that came and went unread, since the session's start. */
  unseenNetns: number;
}

/** Series of one node: they outlive its collectors. */
export class NodeSeries {
  readonly name: string;
  readonly sessions = new Map<string, SampleSession>();
  readonly boots = new Map<string, Boot>();
  readonly contributions = new Map<string, Contribution>();
  readonly places = new Map<string, Place>();
  /** Places without labels yet. */
  readonly unplaced = new Set<Place>();
  /** Places that are gone and still have something that lives. */
  readonly leaving = new Set<Place>();
  /** When something was heard of the node last, ms of the store's clock. */
  heardMs = 0;
  silent = false;

  constructor(name: string) {
    this.name = name;
  }

  /** A session belongs to a boot that began at a time (Unix seconds). */
  learnBoot(bootId: string, startedUnixS: number, nowMs: number): void {
    const known = this.boots.get(bootId)?.startedUnixS ?? Number.NEGATIVE_INFINITY;
    this.boots.set(bootId, { startedUnixS: Math.max(startedUnixS, known), heardMs: nowMs });
    if (this.boots.size <= maxBoots) return;
    const [[first]] = [...this.boots].sort((a, b) => a[1].heardMs - b[1].heardMs || a[1].startedUnixS - b[1].startedUnixS);
    this.boots.delete(first);
  }

  hearBoot(bootId: string, nowMs: number): void {
    const boot = this.boots.get(bootId);
    if (boot !== undefined) boot.heardMs = nowMs;
  }

  /**
   * Whether the node has been booted since: nothing of that boot lives. The clock of a node may be wrong when it starts,
   * so its word decides only between boots that are both heard, as when a session that was left behind is sent late.
   */
  isOver(bootId: string, nowMs: number): boolean {
    const own = this.boots.get(bootId);
    const isHeard = own !== undefined && nowMs - own.heardMs < bootHeardMs;
    for (const other of this.boots.values()) {
      if (other === own || nowMs - other.heardMs >= bootHeardMs) continue;
      if (!isHeard || other.startedUnixS > own.startedUnixS) return true;
    }
    return false;
  }

  session(key: string): SampleSession {
    const known = this.sessions.get(key);
    if (known !== undefined) return known;
    const created: SampleSession = {
      bootId: undefined,
      layouts: new Map(),
      cycleStartNs: undefined,
      broken: false,
      unseenNetns: 0,
    };
    this.sessions.set(key, created);
    return created;
  }

  hasPlace(bootId: string, netns: number, cgroup: number): boolean {
    return this.places.has(placeKey(bootId, netns, cgroup));
  }

  /** The place of a target, made on first use. */
  place(session: SessionState, bootId: string, netns: number, cgroup: number, readNs: number, nowMs: number): Place {
    const key = placeKey(bootId, netns, cgroup);
    let place = this.places.get(key);
    if (place === undefined) {
      place = {
        key,
        bootId,
        netns,
        cgroup,
        session,
        entity: undefined,
        labels: netns === otherNetns ? labelsOfOther(this.name) : undefined,
        firstMs: nowMs,
        toldMs: nowMs,
        readNs,
        gone: false,
        contributions: new Set(),
      };
      this.places.set(key, place);
      if (place.labels === undefined) this.unplaced.add(place);
    }
    place.session = session;
    place.toldMs = nowMs;
    place.readNs = Math.max(place.readNs, readNs);
    return place;
  }
}

function placeKey(bootId: string, netns: number, cgroup: number): string {
  return `${bootId}/${netns}/${cgroup}`;
}
