import type { Pod as PodMessage } from '../../proto/collect.ts';
import { addressHex, bounded } from './bounded-name.ts';
import { endOf } from './netns.ts';

/** One sandbox of a Pod as events name it. Plain data: checkpoints hold it. A change makes another object. */
export interface Pod {
  readonly sandboxId: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Cookie or inode of its network namespace; 0: not known, or hostNetwork. */
  readonly netns: number;
  readonly hostNetwork: boolean;
  /** 16 bytes each, hex; only where the namespace is not known. */
  readonly addresses: readonly string[];
  readonly containers: readonly Container[];
  /** What its owner set for it: the annotations under jitterscope.io/ without that prefix (<rule id>.<param>), by key. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Outer bounds of its life, boot ns. */
  readonly fromBootNs: number;
  /** Infinity while it lives. */
  readonly toBootNs: number;
}

export interface Container {
  readonly id: string;
  /** Empty: the sandbox's own (pause). */
  readonly name: string;
  /** As records carry them. */
  readonly cgroups: readonly number[];
  /** As samples carry it; 0: none. */
  readonly sampledCgroup: number;
}

/** Kubernetes' own limits: an RFC 1123 label, an RFC 1123 subdomain; a uid is 36 characters, or a hash of a static Pod. */
const maxLabelLength = 63;
const maxPodNameLength = 253;
const maxIdLength = 64;
/** Of one Pod: what is kept. */
const maxContainers = 256;
const maxCgroups = 4096;
const maxAddresses = 16;
const maxAnnotations = 64;
const maxAnnotationLength = 64;

/** A sandbox's id, as Pods are known by. */
export function keyOfSandbox(id: string): string {
  return bounded(id, maxIdLength);
}

export function podOf(message: PodMessage): Pod {
  const netns = message.netns ?? 0;
  const hostNetwork = message.hostNetwork ?? false;
  const addresses = netns === 0 && !hostNetwork ? (message.addresses ?? []).slice(0, maxAddresses) : [];
  return {
    sandboxId: keyOfSandbox(message.sandboxId ?? ''),
    uid: bounded(message.uid ?? '', maxIdLength),
    namespace: bounded(message.namespace ?? '', maxLabelLength),
    name: bounded(message.name ?? '', maxPodNameLength),
    netns,
    hostNetwork,
    addresses: addresses.flatMap((address) => addressHex(address) ?? []),
    containers: (message.containers ?? []).slice(0, maxContainers).map((container) => ({
      id: bounded(container.id ?? '', maxIdLength),
      name: bounded(container.name ?? '', maxLabelLength),
      cgroups: (container.cgroups ?? []).slice(0, maxCgroups),
      sampledCgroup: container.sampledCgroup ?? 0,
    })),
    annotations: annotationsOf(message),
    fromBootNs: message.fromBootNs ?? 0,
    toBootNs: endOf(message.toBootNs),
  };
}

/** In the order of their keys: the same ones are the same text. */
function annotationsOf({ annotations }: PodMessage): Record<string, string> {
  const told = Object.entries(annotations ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    told.slice(0, maxAnnotations).map(([key, value]) => [bounded(key, maxAnnotationLength), bounded(value, maxAnnotationLength)]),
  );
}

/** What people call a Pod. */
export function labelOfPod({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}
