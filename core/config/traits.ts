import { type ZodType, z } from 'zod';

/** What a field of the configuration says of itself besides type, default and description. */
interface FieldTraits {
  readonly live?: boolean;
  readonly secret?: boolean;
  /** What it may be, in words, where its type does not tell. */
  readonly expected?: string;
}

const traits = z.registry<FieldTraits>();

function withTraits<Schema extends ZodType>(schema: Schema, more: FieldTraits): Schema {
  traits.add(schema, { ...traits.get(schema as ZodType), ...more });
  return schema;
}

/** A field that takes effect while the process runs; all others need a restart. */
export function live<Schema extends ZodType>(schema: Schema): Schema {
  return withTraits(schema, { live: true });
}

/** A field whose value is never printed. */
export function secret<Schema extends ZodType>(schema: Schema): Schema {
  return withTraits(schema, { secret: true });
}

/** Says in words what a field may be: "address:port, or off". */
export function expecting<Schema extends ZodType>(schema: Schema, expected: string): Schema {
  return withTraits(schema, { expected });
}

/** What zod keeps of a schema, as far as it is walked here. */
interface Definition {
  readonly type: string;
  readonly innerType?: ZodType;
  readonly shape?: Readonly<Record<string, ZodType>>;
  readonly valueType?: ZodType;
  readonly element?: ZodType;
}

function definitionOf(schema: ZodType): Definition {
  return schema.def;
}

/** The schema within defaults and the like. */
function unwrapped(schema: ZodType): ZodType {
  const { innerType } = definitionOf(schema);
  return innerType === undefined ? schema : unwrapped(innerType);
}

/** What a field says of itself; what is said outside is stronger. */
export function traitsOf(schema: ZodType): FieldTraits {
  const { innerType } = definitionOf(schema);
  return { ...(innerType === undefined ? {} : traitsOf(innerType)), ...traits.get(schema) };
}

/** The fields of a section; undefined for what is none. */
export function shapeOf(schema: ZodType): Readonly<Record<string, ZodType>> | undefined {
  return definitionOf(unwrapped(schema)).shape;
}

/** The schema of what stands at a path; undefined where nothing may stand. */
export function schemaAt(schema: ZodType, path: readonly PropertyKey[]): ZodType | undefined {
  let at: ZodType | undefined = schema;
  for (const key of path) {
    if (at === undefined) return undefined;
    const { shape, valueType, element } = definitionOf(unwrapped(at));
    at = shape?.[String(key)] ?? valueType ?? element;
  }
  return at;
}
