/**
 * Whose a sample or a count is: what the labels of a series are made from. Until something is
 * told of it again it is the same object: callers may cache by it.
 */
export type Entity =
  | {
      readonly kind: 'pod';
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string;
      /** Name of the container, where a cgroup told it; else empty. */
      readonly container: string;
    }
  /** A namespace that is no Pod's; its name, or what stands for one. */
  | { readonly kind: 'netns'; readonly name: string }
  | { readonly kind: 'node' }
  /** Nobody knows, or may know in a moment: a young namespace may still turn out to be a Pod's. */
  | { readonly kind: 'unknown' };

export const nodeEntity: Entity = { kind: 'node' };
export const unknownEntity: Entity = { kind: 'unknown' };
