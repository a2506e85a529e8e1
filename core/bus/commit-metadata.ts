import type { z } from 'zod';

/** A commit's metadata as JSON of one shape; undefined where another version or hand wrote it. */
export function parseMetadata<Schema extends z.ZodType>(schema: Schema, metadata: string): z.output<Schema> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(metadata);
  } catch {
    return undefined;
  }
  return schema.safeParse(json).data;
}
