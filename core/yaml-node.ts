import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node } from 'yaml';

/** What of a path a document has. */
interface YamlPlace {
  /** The path's value, or its key; where it is not there, the innermost value around it. */
  readonly node: Node | undefined;
  /** Whether all of the path is there. */
  readonly isThere: boolean;
}

/** The node at a path of keys and indexes, through aliases. Where a key has no value, the key stands for it. */
export function yamlNodeAt(document: Document.Parsed, path: readonly PropertyKey[], what: 'key' | 'value'): YamlPlace {
  let at: unknown = document.contents;
  for (const [depth, key] of path.entries()) {
    const inside: unknown = isAlias(at) ? at.resolve(document) : at;
    let next: unknown;
    if (isSeq(inside)) next = inside.items[Number(key)];
    else if (isMap(inside)) {
      const pair = inside.items.find((one) => String(isScalar(one.key) ? one.key.value : one.key) === String(key));
      next = what === 'key' && depth === path.length - 1 ? pair?.key : (pair?.value ?? pair?.key);
    }
    if (!isNode(next)) return { node: isNode(at) ? at : undefined, isThere: false };
    at = next;
  }
  return { node: isNode(at) ? at : undefined, isThere: true };
}
