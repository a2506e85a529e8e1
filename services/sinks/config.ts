import { z } from 'zod';
import { prometheusSinkSchema } from './prometheus/config.ts';
import { type SinkDefinition, type SinkName, sinkRegistry } from './registry.ts';

type Sections = { [Name in SinkName]: z.ZodPrefault<(typeof sinkRegistry)[Name]['schema']> };

const definitions: readonly (readonly [string, SinkDefinition<z.ZodType>])[] = Object.entries(sinkRegistry);
const sections = Object.fromEntries(definitions.map(([name, { schema }]) => [name, schema.prefault({})])) as Sections;

/** Section `sinks`: one section for each sink of the registry, which take events, and one for that of metrics. */
export const sinksSchema = z.strictObject({ ...sections, prometheus: prometheusSinkSchema.prefault({}) });

export type SinksConfig = z.output<typeof sinksSchema>;
