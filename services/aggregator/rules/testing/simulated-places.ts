import { isIPv4 } from 'node:net';
import type { NetworkNamespace, Pod } from '../../../../proto/collect.ts';
import { defaultNode, type InputRow, type RowTarget } from './test-input.ts';
import type { TestDocument } from './test-schema.ts';

/** A namespace of a test, whose it is and when it lives. */
export interface SimulatedPlace {
  readonly kind: 'pod' | 'netns' | 'host';
  /** shop/web-0, the name of the namespace, of the node. */
  readonly name: string;
  readonly node: string;
  readonly cookie: number;
  /** IPv4 */
  readonly address: readonly number[];
  /** Names of its containers; their cgroups follow from the cookie. */
  readonly containers: Set<string>;
  /** Seconds of the test; undefined: before its begin, behind its end. */
  readonly fromS: number | undefined;
  readonly toS: number | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

const firstCookie = 4101;
const firstInode = 4_026_532_000;
const firstCgroup = 20_000;
/** Containers of one Pod have cgroups one after the other. */
const cgroupsOfPod = 16;
const annotationPrefix = 'jitterscope.io/';
const externalAddress = [198, 51, 100, 9];
export const defaultContainer = 'app';

/** All namespaces that a test speaks of. */
export class SimulatedPlaces {
  readonly #document: TestDocument;
  readonly #places = new Map<string, SimulatedPlace>();

  constructor(document: TestDocument, rows: readonly InputRow[]) {
    this.#document = document;
    for (const [name, { node }] of Object.entries(document.pods)) this.#add('pod', name, node);
    for (const row of rows) {
      if (row.kind === 'silent') this.#add('host', row.row.silent, row.row.silent);
      else this.of(row.target);
      if (row.kind === 'record' && row.row.peer !== undefined) this.addressOf(row.row.peer);
    }
    if (this.nodes.length === 0) this.#add('host', defaultNode, defaultNode);
  }

  get all(): readonly SimulatedPlace[] {
    return [...this.#places.values()];
  }

  get nodes(): readonly string[] {
    return [...new Set(this.all.map(({ node }) => node))];
  }

  /** The namespace that a row is about; of a node its own. */
  of({ kind, name, node }: RowTarget): SimulatedPlace {
    if (kind === 'pod' || kind === 'netns') return this.#add(kind, name, node);
    return this.#add('host', name || defaultNode, name || defaultNode);
  }

  /** Address of a far end: a Pod's, a namespace's by name, or one that is written out. */
  addressOf(peer: string | undefined): readonly number[] {
    if (peer === undefined) return externalAddress;
    if (isIPv4(peer)) return peer.split('.').map(Number);
    return this.#add(peer.includes('/') ? 'pod' : 'netns', peer, undefined).address;
  }

  #add(kind: SimulatedPlace['kind'], name: string, node: string | undefined): SimulatedPlace {
    const key = `${kind} ${name}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const told = kind === 'pod' ? this.#document.pods[name] : undefined;
    const on = told?.node ?? node ?? defaultNode;
    if (kind !== 'host') this.#add('host', on, on);
    const number = this.#places.size;
    const created: SimulatedPlace = {
      kind,
      name,
      node: on,
      cookie: firstCookie + number,
      address: kind === 'host' ? [192, 0, 2, number + 1] : [10, 244, number >> 8, (number & 255) + 1],
      containers: new Set(kind === 'pod' ? [defaultContainer] : []),
      fromS: told?.from,
      toS: told?.to,
      annotations: told?.annotations ?? {},
    };
    this.#places.set(key, created);
    return created;
  }
}

/** Id of a container's cgroup, as its samples carry it. */
export function cgroupOf({ containers, cookie }: SimulatedPlace, container: string): number {
  return firstCgroup + (cookie - firstCookie) * cgroupsOfPod + [...containers].indexOf(container);
}

/** The namespace as a collector tells it. @param bootNs of a second of the test */
export function netnsMessage(place: SimulatedPlace, bootNs: (second: number | undefined) => number): NetworkNamespace {
  const { kind, name, cookie, address, fromS, toS } = place;
  const interval = { fromBootNs: bootNs(fromS), toBootNs: bootNs(toS) };
  return {
    cookie,
    inode: firstInode + cookie,
    names: kind === 'netns' ? [name] : [],
    processes: [],
    addressIntervals: [{ address: v4Mapped(address), ...interval }],
    ...interval,
    host: kind === 'host',
  };
}

/** The Pod of a namespace as a collector tells it; undefined where it has none. */
export function podMessage(place: SimulatedPlace, bootNs: (second: number | undefined) => number): Pod | undefined {
  if (place.kind !== 'pod') return undefined;
  const [namespace, name] = place.name.split('/');
  return {
    sandboxId: `sandbox ${place.name}`,
    uid: `uid-${place.name.replace('/', '-')}`,
    namespace,
    name,
    netns: place.cookie,
    containers: [...place.containers].map((container) => {
      const cgroup = cgroupOf(place, container);
      return { id: `container ${place.name} ${container}`, name: container, cgroups: [cgroup], sampledCgroup: cgroup };
    }),
    annotations: ownAnnotations(place.annotations),
    fromBootNs: bootNs(place.fromS),
    toBootNs: bootNs(place.toS),
  };
}

/** Those that are jitterscope's, without its prefix, as a collector tells them. */
function ownAnnotations(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.entries(annotations).filter(([key]) => key.startsWith(annotationPrefix));
  return Object.fromEntries(own.map(([key, value]) => [key.slice(annotationPrefix.length), value]));
}

function v4Mapped(address: readonly number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address);
}
