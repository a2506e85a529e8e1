/** A configuration before it is checked. */
export type Tree = { [key: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A section whose fields are all commented out is null in YAML: it says nothing. */
export function withoutEmpty(tree: Tree): Tree {
  const result: Tree = {};
  for (const [key, value] of Object.entries(tree)) if (value !== null) put(result, key, isTree(value) ? withoutEmpty(value) : value);
  return result;
}

/** Sets the value at a path; what stands in its way is replaced by sections. */
export function assign(tree: Tree, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(at, key) ? at[key] : undefined;
    const child: Tree = isTree(next) ? next : {};
    put(at, key, child);
    at = child;
  }
  put(at, path[path.length - 1], value);
}

/** As a field of its own: `at['__proto__'] = value` would change the prototype. */
function put(at: Tree, key: string, value: unknown): void {
  Object.defineProperty(at, key, { value, enumerable: true, configurable: true, writable: true });
}
