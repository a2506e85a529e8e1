import type { SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import type { Place } from './place.ts';
import type { SourceFields } from './source-fields.ts';
import { labelsOfOther } from './target-labels.ts';

/** Stands for the namespaces that a full counter map could not tell apart. */
export const otherNetns = -1;

/** Boots of a node that are told apart. */
const maxBoots = 16;

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
  /** When each boot began, Unix seconds. */
  readonly boots = new Map<string, number>();
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
  learnBoot(bootId: string, startedUnixS: number): void {
    this.boots.set(bootId, Math.max(startedUnixS, this.boots.get(bootId) ?? Number.NEGATIVE_INFINITY));
    if (this.boots.size <= maxBoots) return;
    const [[first]] = [...this.boots].sort((a, b) => a[1] - b[1]);
    this.boots.delete(first);
  }

  /** Whether the node has been booted since: nothing of that boot lives. */
  isOver(bootId: string): boolean {
    const started = this.boots.get(bootId) ?? Number.NEGATIVE_INFINITY;
    for (const other of this.boots.values()) if (other > started) return true;
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
