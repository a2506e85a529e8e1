import { isByInode, type Netns } from './netns.ts';
import type { Container, Pod } from './pod.ts';

/** Pieces of event lines that say who somebody is: escaped once, and kept as long as nothing of it changes. */
export class IdentityFragments {
  readonly #netns = new WeakMap<Netns, Buffer>();
  readonly #pods = new WeakMap<Pod, Buffer>();
  readonly #containers = new WeakMap<Container, Buffer>();
  #node = '';
  #nodeFragment: Buffer = Buffer.alloc(0);

  /** What stands in jitterscope.netns. */
  netns(netns: Netns): Buffer {
    let fragment = this.#netns.get(netns);
    if (fragment === undefined) {
      const name = netns.host ? undefined : netns.names[0];
      const cookie = isByInode(netns) ? undefined : netns.cookie;
      fragment = Buffer.from(JSON.stringify({ name, cookie, inode: netns.inode }).slice(1, -1));
      this.#netns.set(netns, fragment);
    }
    return fragment;
  }

  /** A Pod as `kubernetes` of the event or of one of its ends. Pods are of one session, so of one node. */
  pod(pod: Pod, node: string): Buffer {
    let fragment = this.#pods.get(pod);
    if (fragment === undefined) {
      const { namespace, name, uid } = pod;
      fragment = kubernetes({ namespace, pod: { name, uid: uid === '' ? undefined : uid }, node: { name: node } });
      this.#pods.set(pod, fragment);
    }
    return fragment;
  }

  /** A node as `kubernetes` of the event or of one of its ends. */
  node(node: string): Buffer {
    if (node !== this.#node) {
      this.#node = node;
      this.#nodeFragment = kubernetes({ node: { name: node } });
    }
    return this.#nodeFragment;
  }

  container(container: Container): Buffer {
    let fragment = this.#containers.get(container);
    if (fragment === undefined) {
      const { id, name } = container;
      fragment = Buffer.from(`,"container":${JSON.stringify({ id, name: name === '' ? undefined : name })}`);
      this.#containers.set(container, fragment);
    }
    return fragment;
  }
}

function kubernetes(of: object): Buffer {
  return Buffer.from(`,"kubernetes":${JSON.stringify(of)}`);
}
