import type { Entity } from '../entity.ts';
import type { SessionState } from '../session.ts';
import { type Labels, labelsFrom } from './labels.ts';

/** Who a target is, as labels. */
export interface TargetLabels {
  readonly labels: Labels;
  /** How good a name is: 2 a Pod, a container, the node; 1 a namespace that is no Pod's; 0 nobody knows it. */
  readonly rank: 0 | 1 | 2;
}

const two32 = 2 ** 32;

/**
 * Labels of a namespace (its cookie or inode), of a container's cgroup (as samples carry it), or of the node (both 0).
 * Undefined while nobody knows, or a Pod may still be told.
 * @param entity who it is, as the session's identity says now
 */
export function labelsOf({ node, identity }: SessionState, netns: number, entity: Entity): TargetLabels | undefined {
  if (entity.kind === 'unknown') return undefined;
  if (entity.kind === 'node') return { labels: labelsFrom({ k8s_node: node }), rank: 2 };
  if (entity.kind === 'netns') return { labels: netnsLabels(node, identity.get(idOf(identity, netns))?.names[0], netns), rank: 1 };
  const { namespace, pod, container } = entity;
  // A cgroup without a container's name is the sandbox's own: POD, as cAdvisor calls it. Without a label it would look like the whole Pod.
  const name = container === '' && netns === 0 ? 'POD' : container;
  const ofContainer = name === '' ? {} : { k8s_container: name };
  return { labels: labelsFrom({ k8s_namespace: namespace, k8s_node: node, k8s_pod: pod, ...ofContainer }), rank: 2 };
}

/** Labels of what has waited long enough for a better name. */
export function labelsOfUnknown(node: string, session: SessionState | undefined, netns: number, cgroup: number): TargetLabels {
  if (cgroup !== 0) return { labels: labelsFrom({ k8s_node: node, cgroup: String(cgroup) }), rank: 0 };
  const name = session?.identity.get(idOf(session.identity, netns))?.names[0];
  return { labels: netnsLabels(node, name, netns), rank: name === undefined ? 0 : 1 };
}

/** Labels of what a full counter map could not tell apart. */
export function labelsOfOther(node: string): TargetLabels {
  return { labels: netnsLabels(node, 'other', 0), rank: 2 };
}

/** Whether the session knows that a namespace has ended. */
export function isGone({ identity }: SessionState, netns: number): boolean {
  const found = identity.get(idOf(identity, netns));
  return found !== undefined && Number.isFinite(found.toBootNs);
}

function netnsLabels(node: string, name: string | undefined, netns: number): Labels {
  return labelsFrom({ k8s_node: node, netns: name ?? String(netns) });
}

function idOf(identity: SessionState['identity'], netns: number): number {
  return identity.local(netns % two32, Math.floor(netns / two32), 0, false);
}
