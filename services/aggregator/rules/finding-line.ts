import { maxUnixSeconds } from '../../../core/time.ts';
import { severities } from '../../../schema/batch.ts';
import { ecsVersion, eventSchemaVersion } from '../../../schema/event.ts';
import { bounded } from '../bounded-name.ts';
import type { FindingEntity, Peer, Transition } from './finding.ts';

/** Texts of a rule and of its templates, as far as a document takes them. */
const maxTextLength = 2048;
/** Digits of values: more than anybody reads, fewer than binary fractions have. */
const valueDigits = 9;

const eventTypes: Readonly<Record<Transition['action'], readonly string[]>> = {
  opened: ['error', 'start'],
  updated: ['error', 'change'],
  resolved: ['end'],
};

/** What a document says beside the transition itself. */
export interface FindingContext {
  /** orchestrator.cluster.name */
  readonly cluster: string;
  /** Whether the entity's node is one of Kubernetes. */
  readonly isKubernetes: boolean;
}

/** One step of a finding's life as a document: a JSON line in the order of schema/event.ts. Findings are few: no need for fragments. */
export function findingLine(transition: Transition, { cluster, isKubernetes }: FindingContext): string {
  const { rule, entity, severity, action, number, anomalyId, atS, startS } = transition;
  const document = {
    '@timestamp': timestamp(atS),
    message: text(action === 'resolved' ? resolvedMessage(transition) : transition.message),
    log: { level: severities[severity] },
    ecs: { version: ecsVersion },
    event: {
      kind: 'alert',
      category: ['network'],
      type: eventTypes[action],
      action: `anomaly-${action}`,
      reason: transition.reason,
      id: `${anomalyId}-${number}`,
      severity,
      start: timestamp(startS),
      end: action === 'resolved' ? timestamp(atS) : undefined,
    },
    rule: { id: rule.id, name: text(rule.title), description: text(rule.why), reference: rule.runbook, version: rule.version },
    host: entity.kind === 'pipeline' ? undefined : { name: entity.node },
    orchestrator: { type: isKubernetes ? 'kubernetes' : undefined, cluster: { name: cluster } },
    kubernetes: isKubernetes ? kubernetesOf(entity) : undefined,
    jitterscope: {
      schema: eventSchemaVersion,
      type: rule.id,
      values: entriesOf(transition.values.filter(([, value]) => Number.isFinite(value)).map(([key, value]) => [key, rounded(value)])),
      by: entriesOf(transition.by.map(([key, group]) => [key, bounded(group)])),
      evidence: listOf(transition.evidence.map((evidence) => ({ text: text(evidence.text), weight: evidence.weight }))),
      confidence: rounded(transition.confidence),
      anomaly: {
        id: anomalyId,
        transition: number,
        caused_by: listOf(transition.causedBy),
        samples: listOf(transition.samples),
      },
      peers: listOf(transition.peers.map(peerOf)),
      netns: netnsOf(entity),
      partition: entity.kind === 'pipeline' ? entity.name : undefined,
    },
  };
  return `${JSON.stringify(document)}\n`;
}

/** What was found no longer holds: its sentence would say the opposite of what is so. */
function resolvedMessage({ rule, entity, startS, atS }: Transition): string {
  return `${nameOfEntity(entity)}: over after ${durationText(atS - startS)}: ${rule.title}`;
}

function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** What people call an entity: shop/web-0, the name of a namespace or its cookie, a node, `partition 0`. */
export function nameOfEntity({ kind, namespace, pod, name, cookie, inode, node }: FindingEntity): string {
  if (kind === 'pod') return `${namespace}/${pod}`;
  if (name !== '') return name;
  return kind === 'netns' ? `netns ${cookie === 0 ? inode : cookie}` : node;
}

/** The Pod's namespace; without a Pod the name of the network namespace, as events have it. */
export function namespaceOfEntity({ kind, namespace, name }: FindingEntity): string {
  return kind === 'netns' ? name : namespace;
}

function kubernetesOf({ kind, namespace, pod, uid, node }: FindingEntity): object | undefined {
  if (kind === 'node') return { node: { name: node } };
  if (kind !== 'pod') return undefined;
  return { namespace, pod: { name: pod, uid: uid === '' ? undefined : uid }, node: { name: node } };
}

function netnsOf({ name, cookie, inode, kind }: FindingEntity): object | undefined {
  if (kind === 'pipeline' || (cookie === 0 && inode === 0)) return undefined;
  return {
    name: kind === 'netns' && name !== '' ? name : undefined,
    cookie: cookie === 0 || cookie === inode ? undefined : cookie,
    inode: inode === 0 ? undefined : inode,
  };
}

function peerOf({ label, address, namespace, pod, uid, count }: Peer): object {
  const ofPod = pod === '' ? undefined : { namespace, pod: { name: pod, uid: uid === '' ? undefined : uid } };
  return { name: bounded(label), ip: address === '' ? undefined : address, count, kubernetes: ofPod };
}

/** A document has no empty objects and no empty lists. */
function entriesOf<Value>(entries: readonly (readonly [string, Value])[]): Readonly<Record<string, Value>> | undefined {
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function listOf<Item>(items: readonly Item[]): readonly Item[] | undefined {
  return items.length === 0 ? undefined : items;
}

function rounded(value: number): number {
  return Number(value.toPrecision(valueDigits));
}

function text(of: string): string {
  return bounded(of, maxTextLength);
}

/** A whole Unix second with 9 digits, within what stores keep, as events have it. */
function timestamp(unixSeconds: number): string {
  return `${new Date(Math.min(Math.max(unixSeconds, 0), maxUnixSeconds) * 1000).toISOString().slice(0, 19)}.000000000Z`;
}
