import { z } from 'zod';
import { type SinkName, sinkRegistry } from './registry.ts';

type Sections = { [Name in SinkName]: z.ZodPrefault<(typeof sinkRegistry)[Name]['schema']> };

const sections = Object.fromEntries(Object.entries(sinkRegistry).map(([name, { schema }]) => [name, schema.prefault({})])) as Sections;

/** Section `sinks`: one section for each sink of the registry. */
export const sinksSchema = z.strictObject(sections);

export type SinksConfig = z.output<typeof sinksSchema>;
