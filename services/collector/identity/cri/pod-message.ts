import { isIPv4, isIPv6 } from 'node:net';
import type { PodSandbox, SandboxStatus } from '../../../../proto/cri.ts';

/** Bounds of Kubernetes: names of DNS subdomains, of DNS labels, label keys with their prefix, label values. */
const maxNameLength = 253;
const maxNamespaceLength = 63;
const maxUidLength = 64;
const maxKeyLength = 253;
const maxValueLength = 63;
const maxLabels = 32;
/** What jitterscope reads of a Pod's annotations: their prefix, and bounds of our own, since Kubernetes has none but 256 KiB in all. */
const annotationPrefix = 'jitterscope.io/';
const maxAnnotations = 64;
const maxAnnotationKeyLength = 63;
const maxAnnotationLength = 64;
/** Of one Pod: one of each family, and some for what plugins add. */
const maxAddresses = 16;
/** Labels under this prefix repeat what the metadata say. */
const repeatedLabels = 'io.kubernetes.';

/** What names a Pod. */
export interface PodNames {
  readonly sandboxId: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Those under jitterscope.io/, without that prefix. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** The names of a sandbox; undefined when it is not a Pod's: without name, namespace or uid, or longer than they can be. */
export function podNames({ id, metadata, labels, annotations }: PodSandbox): PodNames | undefined {
  const [sandboxId, uid, namespace, name] = [id ?? '', metadata?.uid ?? '', metadata?.namespace ?? '', metadata?.name ?? ''];
  const fits = (text: string, most: number): boolean => text !== '' && Buffer.byteLength(text) <= most;
  if (!fits(sandboxId, maxNameLength) || !fits(uid, maxUidLength)) return undefined;
  if (!fits(namespace, maxNamespaceLength) || !fits(name, maxNameLength)) return undefined;
  return { sandboxId, uid, namespace, name, labels: boundedLabels(labels ?? {}), annotations: ownAnnotations(annotations ?? {}) };
}

/** The first labels by key; what no label of Kubernetes can be is left out. */
function boundedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(labels)
    .filter(([key, value]) => !key.startsWith(repeatedLabels) && key.length <= maxKeyLength && value.length <= maxValueLength)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, maxLabels);
  return Object.fromEntries(kept);
}

/** The first of jitterscope's own annotations by key. */
function ownAnnotations(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(annotations)
    .filter(([key]) => key.startsWith(annotationPrefix))
    .map(([key, value]) => [key.slice(annotationPrefix.length), value] as const)
    .filter(([key, value]) => key !== '' && key.length <= maxAnnotationKeyLength && value.length <= maxAnnotationLength)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, maxAnnotations);
  return Object.fromEntries(kept);
}

/** Addresses that the runtime gave a sandbox, 16 bytes each, IPv4 as ::ffff:a.b.c.d. */
export function sandboxAddresses({ status }: SandboxStatus): Buffer[] {
  const { ip, additionalIps } = status?.network ?? {};
  const texts = [ip ?? '', ...(additionalIps ?? []).map((one) => one.ip ?? '')].slice(0, maxAddresses);
  return texts.map(addressBytes).filter((bytes) => bytes !== undefined);
}

/** 16 bytes of an address as people write it; undefined when it is none. */
export function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), Buffer.from(text.split('.').map(Number))]);
  if (!isIPv6(text)) return undefined;
  // The last 32 bits may be written as an IPv4 address; a zone means nothing elsewhere.
  const plain = text.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head, tail] = plain.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = new Array<string>(8 - head.length - (tail?.length ?? 0)).fill('0');
  const groups = tail === undefined ? head : [...head, ...zeros, ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
