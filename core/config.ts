import { readFileSync } from 'node:fs';
import { isMap, LineCounter, parse, parseDocument } from 'yaml';
import type { ZodError, ZodType } from 'zod';
import { errorTable, messageOf } from './app-error.ts';
import { suggestion } from './suggestion.ts';

/** What can be wrong with a configuration. */
export const configError = errorTable({
  CONFIG_UNREADABLE: {
    message: 'cannot read the configuration {file}: {cause}',
    retryable: false,
    remedy: 'Check the path and its permissions.',
    exitCode: 78,
  },
  CONFIG_SYNTAX: {
    message: '{file} is not valid YAML: {cause}',
    retryable: false,
    remedy: 'Mend the line that is named.',
    exitCode: 78,
  },
  CONFIG_INVALID: {
    message: '{problems}',
    retryable: false,
    remedy: 'Mend the fields that are named. `jitterscope run --help` lists the sources of a value and their order.',
    exitCode: 78,
  },
});

/** Where values come from, weakest first; the schema's own defaults are weaker than all. */
export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string | undefined;
  /** Environment: JITTERSCOPE_SECTION__KEY. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** `a.b=c` from the command line. */
  readonly sets?: readonly string[];
}

type Tree = { [key: string]: unknown };

const prefix = 'JITTERSCOPE_';

/** Reads, merges and checks a configuration. Throws CONFIG_* with every problem named. */
export function loadConfig<Config>(schema: ZodType<Config>, sources: ConfigSources): Config {
  const tree: Tree = sources.file === undefined ? {} : readFile(sources.file);
  for (const [name, value] of Object.entries(sources.environment ?? {})) {
    if (name.startsWith(prefix) && value !== undefined && name.includes('__')) assign(tree, environmentPath(name), value, name);
  }
  for (const set of sources.sets ?? []) {
    const path = set.slice(0, Math.max(0, set.indexOf('='))).split('.');
    if (!path.every((key) => /^\w+$/.test(key)))
      throw configError('CONFIG_INVALID', { problems: `--set ${set}: expected path.to.key=value` });
    assign(tree, path, set.slice(set.indexOf('=') + 1), `--set ${set}`);
  }
  const result = schema.safeParse(tree);
  if (result.success) return result.data;
  throw configError('CONFIG_INVALID', { problems: problemsOf(result.error, schema).join('\n') });
}

function readFile(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    throw configError('CONFIG_UNREADABLE', { file, cause: messageOf(thrown) }, thrown);
  }
  const document = parseDocument(text, { lineCounter: new LineCounter(), prettyErrors: true });
  const problem = document.errors[0];
  if (problem !== undefined) throw configError('CONFIG_SYNTAX', { file, cause: problem.message.trim() });
  let content: unknown;
  try {
    content = document.toJS();
  } catch (thrown) {
    // An alias without its anchor, or too many of them.
    throw configError('CONFIG_SYNTAX', { file, cause: messageOf(thrown) }, thrown);
  }
  if (content === null) return {};
  if (!isMap(document.contents)) throw configError('CONFIG_SYNTAX', { file, cause: 'expected a mapping of sections' });
  return withoutEmpty(content as Tree);
}

/** A section whose fields are all commented out is null in YAML: it says nothing. */
function withoutEmpty(tree: Tree): Tree {
  const said = Object.entries(tree).filter(([, value]) => value !== null);
  return Object.fromEntries(said.map(([key, value]) => [key, isTree(value) ? withoutEmpty(value) : value]));
}

/** SINKS__LOKI__TENANT_ID → sinks.loki.tenantId */
function environmentPath(name: string): string[] {
  return name
    .slice(prefix.length)
    .split('__')
    .map((part) => part.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()));
}

/** Values parse as YAML: 5 is a number, "5" a string, [a, b] a list. `source` is named where the text is none. */
function assign(tree: Tree, path: readonly string[], text: string, source: string): void {
  let value: unknown;
  try {
    value = parse(text);
  } catch (thrown) {
    throw configError(
      'CONFIG_INVALID',
      { problems: `${source}: the value is not valid YAML: ${messageOf(thrown).split('\n')[0]}` },
      thrown,
    );
  }
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

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function problemsOf(error: ZodError, schema: ZodType): string[] {
  return error.issues.map((issue) => {
    const path = issue.path.join('.');
    if (issue.code !== 'unrecognized_keys') return `${path || 'configuration'}: ${issue.message}`;
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => `${[...issue.path, key].join('.')}: no such setting${suggestion(key, known)}`).join('\n');
  });
}

function keysAt(schema: ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const key of path) at = shapeOf(at)?.[key as string];
  return Object.keys(shapeOf(at) ?? {});
}

/** The fields of an object schema, through defaults and the like. */
function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  let at = schema as { shape?: Record<string, unknown>; def?: { innerType?: unknown } } | undefined;
  while (at !== undefined && at.shape === undefined && at.def?.innerType !== undefined) at = at.def.innerType as typeof at;
  return at?.shape;
}
