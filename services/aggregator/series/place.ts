import type { Entity } from '../entity.ts';
import type { SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import type { TargetLabels } from './target-labels.ts';

/** A namespace, a container's cgroup or the node itself, as samples refer to it: what has an identity. */
export interface Place {
  readonly key: string;
  /** The kernel's boot: its ids are only the same within one. */
  readonly bootId: string;
  /** Netns cookie (or inode); 0: none. */
  readonly netns: number;
  readonly cgroup: number;
  /** The session that told of it last: its identity is asked. Undefined once that is forgotten. */
  session: SessionState | undefined;
  /** Who it was when that was looked up last: the same object until something changes. */
  entity: Entity | undefined;
  /** Undefined until it is known, or has waited long enough. */
  labels: TargetLabels | undefined;
  /** When it was first told of, and last; ms of the store's clock. */
  readonly firstMs: number;
  toldMs: number;
  /** Boot time of the newest reading, ns. */
  readNs: number;
  /** Identity says that it is gone. */
  gone: boolean;
  readonly contributions: Set<Contribution>;
}
