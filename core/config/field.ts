import { type ZodType, z } from 'zod';
import { expectedOf } from './expected.ts';
import { shapeOf, traitsOf } from './traits.ts';

/** One field of a configuration: what its schema says of it. */
export interface Field {
  /** ['sinks', 'file', 'gzip'] */
  readonly path: readonly string[];
  /** As written: '64MiB'; undefined where there is none. */
  readonly default: unknown;
  readonly description: string;
  /** What it may be, in words. */
  readonly expected: string;
  /** Whether a reload changes it while the process runs. */
  readonly live: boolean;
  /** Whether its value is never shown. */
  readonly secret: boolean;
}

/** All fields of a configuration's schema, in its order; what is no section is a field. */
export function fieldsOf(schema: ZodType, path: readonly string[] = []): Field[] {
  const shape = shapeOf(schema);
  if (shape !== undefined) return Object.entries(shape).flatMap(([key, child]) => fieldsOf(child, [...path, key]));
  const { default: byDefault, description = '' } = z.toJSONSchema(schema, { io: 'input' });
  const { live = false, secret = false } = traitsOf(schema);
  return [{ path, default: byDefault, description, expected: expectedOf(schema), live, secret }];
}

/** The value at a path of a tree; undefined when there is none. */
export function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let at = tree;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<PropertyKey, unknown>>)[key];
  }
  return at;
}
