import type { ZodType } from 'zod';
import { schemaAt, shapeOf, traitsOf } from './traits.ts';

/** What stands in place of a value that may hold a secret. */
export const notShown = 'a value that is not shown';

/** Names of settings that hold secrets, in text that could not be read as what it should be. */
const secretNames = /pass(word|phrase)|secret|token|api_?key|credential/i;

/** Whether what stands at a path may hold a secret: the field is one, is within one, or is a section that has one. */
export function mayHoldSecret(schema: ZodType, path: readonly PropertyKey[]): boolean {
  const above = path.some((_, i) => traitsOf(schemaAt(schema, path.slice(0, i + 1)) ?? schema).secret === true);
  return above || hasSecret(schemaAt(schema, path));
}

function hasSecret(schema: ZodType | undefined): boolean {
  if (schema === undefined) return false;
  if (traitsOf(schema).secret === true) return true;
  return Object.values(shapeOf(schema) ?? {}).some((field) => hasSecret(field));
}

/** Whether text that is not understood speaks of a secret. */
export function speaksOfSecret(text: string): boolean {
  return secretNames.test(text);
}

/** A text without user name and password of the URLs in it (RFC 3986, 3.2.1). */
export function withoutUserinfo(text: string): string {
  return text.replace(/(:\/\/)[^\s/"'`]*@/g, '$1…@');
}
