import type { ZodType } from 'zod';
import { type Field, fieldsOf, valueAt } from './field.ts';
import { type ConfigProblem, errorOf, problemOfThrown, problemsOf } from './problem.ts';
import { type ConfigSources, type Gathered, gather, type Origin } from './sources.ts';

/** One field, its value as it was written, and where that stands. */
export interface Setting {
  readonly field: Field;
  readonly value: unknown;
  readonly origin: Origin;
}

/** A configuration that was found to be right. */
export interface LoadedConfig<Config> {
  readonly config: Config;
  readonly settings: readonly Setting[];
  /** What was in the file. */
  readonly text: string | undefined;
}

/** Reads, merges and checks a configuration. Throws CONFIG_* with every problem named. */
export function loadConfig<Config>(schema: ZodType<Config>, sources: ConfigSources): LoadedConfig<Config> {
  const gathered = gather(sources);
  const result = schema.safeParse(gathered.tree);
  if (!result.success) throw errorOf(problemsOf(result.error, schema, gathered));
  return { config: result.data, settings: settingsOf(schema, gathered), text: gathered.text };
}

/** Everything that is wrong with a configuration. */
export function checkConfig(schema: ZodType, sources: ConfigSources): readonly ConfigProblem[] {
  try {
    const gathered = gather(sources);
    const result = schema.safeParse(gathered.tree);
    return result.success ? [] : problemsOf(result.error, schema, gathered);
  } catch (thrown) {
    return [problemOfThrown(thrown)];
  }
}

function settingsOf(schema: ZodType, gathered: Gathered): Setting[] {
  return fieldsOf(schema).map((field) => {
    const value = valueAt(gathered.tree, field.path);
    if (value === undefined) return { field, value: field.default, origin: { kind: 'default' } };
    return { field, value, origin: gathered.originOf(field.path, 'value') };
  });
}
