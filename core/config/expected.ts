import { type ZodType, z } from 'zod';
import { traitsOf } from './traits.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** What a value may be, in words: "a whole number from 1 to 1000". */
export function expectedOf(schema: ZodType): string {
  return traitsOf(schema).expected ?? inWords(z.toJSONSchema(schema, { io: 'input' }));
}

/** The JSON Schema of a configuration, for editors. What JSON Schema cannot say stands in the descriptions. */
export function jsonSchemaOf(schema: ZodType): object {
  return z.toJSONSchema(schema, {
    io: 'input',
    override({ zodSchema, jsonSchema }) {
      const { expected, live, secret } = traitsOf(zodSchema as unknown as ZodType);
      const notes = [
        ...(expected === undefined ? [] : [`Expected: ${expected}.`]),
        ...(live === true ? ['Changes take effect while it runs.'] : []),
        ...(secret === true ? ['Never printed.'] : []),
      ];
      // The outermost of what wraps a field is told last; what it wraps has said the same.
      const said = jsonSchema.description ?? '';
      jsonSchema.description = [said, ...notes.filter((note) => !said.includes(note))].join(' ').trim();
      if (jsonSchema.description === '') delete jsonSchema.description;
    },
  });
}

function inWords(schema: JsonSchema): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  switch (schema.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number${rangeInWords(schema)}`;
    case 'number':
      return `a number${rangeInWords(schema)}`;
    case 'string':
      return (schema.minLength ?? 0) > 0 ? 'text that is not empty' : 'text';
    case 'array':
      return `a list, each ${inWords(schema.items as JsonSchema)}`;
    case 'object':
      if (schema.properties !== undefined) return `a section with ${Object.keys(schema.properties).join(', ')}`;
      return `a mapping, each ${inWords(schema.additionalProperties as JsonSchema)}`;
    default:
      return 'another value';
  }
}

function rangeInWords({ minimum, maximum }: JsonSchema): string {
  const [least, most] = [minimum, maximum].map((bound) => (Math.abs(bound ?? Infinity) < Number.MAX_SAFE_INTEGER ? bound : undefined));
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`;
  if (least !== undefined) return ` of at least ${least}`;
  return most === undefined ? '' : ` of at most ${most}`;
}
