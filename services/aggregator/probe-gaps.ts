import type { Heartbeat } from '../../proto/collect.ts';
import { bounded } from './bounded-name.ts';

/** What a probe does not see on a node: all of it, or what happens in some namespaces. */
export interface ProbeGap {
  /** Number of the probe. */
  readonly probe: number;
  /** off: nobody wants it; failed: it cannot be attached; listed: only these namespaces are looked at; unlisted: these are not; degraded: some of it is missing. */
  readonly state: 'off' | 'failed' | 'listed' | 'unlisted' | 'degraded';
  /** Cookies, or inodes, of `listed` and `unlisted`. */
  readonly netns: readonly number[];
  /** Of `failed` and `degraded`: what is not seen, and why. */
  readonly cause: string;
}

const states: ReadonlySet<string> = new Set(['off', 'failed', 'listed', 'unlisted', 'degraded']);
/** Of one heartbeat, and namespaces of one probe. */
const maxGaps = 64;
const maxNetns = 1024;
const none: readonly ProbeGap[] = [];

/** What a heartbeat says that probes do not see; the same object as before where it says the same. */
export function probeGaps({ probeGaps: told }: Heartbeat, before: readonly ProbeGap[]): readonly ProbeGap[] {
  if (told === undefined || told === null || told.length === 0) return before.length === 0 ? before : none;
  const gaps = told.slice(0, maxGaps).flatMap(({ probe, state, netns, cause }): ProbeGap[] => {
    if (typeof probe !== 'number' || probe > 0xffff || !states.has(state ?? '')) return [];
    return [{ probe, state: state as ProbeGap['state'], netns: (netns ?? []).slice(0, maxNetns), cause: bounded(cause ?? '') }];
  });
  return JSON.stringify(gaps) === JSON.stringify(before) ? before : gaps;
}
