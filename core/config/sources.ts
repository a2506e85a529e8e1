import { parse } from 'yaml';
import { messageOf } from '../app-error.ts';
import { configError } from './errors.ts';
import { notShown, speaksOfSecret, withoutUserinfo } from './hidden.ts';
import { assign, type Tree } from './tree.ts';
import { parseYamlFile, readConfigText, type YamlFile } from './yaml-file.ts';

/** Where values come from, weakest first; the schema's own defaults are weaker than all. */
export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string | undefined;
  /** What is in the file, where it is read already. */
  readonly text?: string | undefined;
  /** Environment: JITTERSCOPE_SECTION__KEY. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** `a.b=c` from the command line. */
  readonly sets?: readonly string[];
}

/** Where one value comes from. */
export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'set'; readonly path: string };

/** All sources in one tree. */
export interface Gathered {
  readonly tree: Tree;
  /** What was in the file. */
  readonly text: string | undefined;
  originOf(path: readonly PropertyKey[], what: 'key' | 'value'): Origin;
}

interface Override {
  readonly path: readonly string[];
  readonly origin: Origin;
}

const prefix = 'JITTERSCOPE_';

/** The origin in one word or place: "config.yaml:3:5". */
export function originText(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`;
  if (origin.kind === 'environment') return origin.name;
  return origin.kind === 'set' ? '--set' : 'default';
}

/** Reads and merges the sources. Throws CONFIG_*. */
export function gather(sources: ConfigSources): Gathered {
  const { file } = sources;
  const text = file === undefined ? undefined : (sources.text ?? readConfigText(file));
  const yaml = file === undefined || text === undefined ? undefined : parseYamlFile(file, text);
  const tree: Tree = yaml?.tree ?? {};
  const overrides = [...environmentOverrides(sources.environment ?? {}), ...setOverrides(sources.sets ?? [])];
  for (const { path, value } of overrides) assign(tree, path, value);
  return { tree, text, originOf: (path, what) => originOf(path, what, overrides, file, yaml) };
}

function originOf(
  path: readonly PropertyKey[],
  what: 'key' | 'value',
  overrides: readonly Override[],
  file: string | undefined,
  yaml: YamlFile | undefined,
): Origin {
  const begins = (long: readonly PropertyKey[], short: readonly PropertyKey[]): boolean => short.every((key, i) => long[i] === key);
  const stronger = overrides.findLast((one) => begins(path, one.path));
  if (stronger !== undefined) return stronger.origin;
  // A section that the file begins, and of which others set a field, is the file's; a mapping that is one value is not.
  const inFile = yaml?.positionOf(path, what);
  if (inFile !== undefined && file !== undefined) return { kind: 'file', file, ...inFile };
  return overrides.findLast((one) => begins(one.path, path))?.origin ?? { kind: 'default' };
}

function* environmentOverrides(environment: Readonly<Record<string, string | undefined>>): Generator<Override & { value: unknown }> {
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || text === undefined || !name.includes('__')) continue;
    yield { path: environmentPath(name), origin: { kind: 'environment', name }, value: parseValue(text, name) };
  }
}

function* setOverrides(sets: readonly string[]): Generator<Override & { value: unknown }> {
  for (const set of sets) {
    const path = set.slice(0, Math.max(0, set.indexOf('='))).split('.');
    if (!path.every((key) => /^[\w-]+$/.test(key))) {
      const [found, expected] = [speaksOfSecret(set) ? notShown : withoutUserinfo(set), 'path.to.key=value'];
      throw configError('CONFIG_INVALID', { problems: `--set ${found}: expected ${expected}`, found, expected });
    }
    const value = parseValue(set.slice(set.indexOf('=') + 1), `--set ${path.join('.')}`);
    yield { path, origin: { kind: 'set', path: path.join('.') }, value };
  }
}

/** SINKS__LOKI__TENANT_ID → sinks.loki.tenantId */
function environmentPath(name: string): string[] {
  return name
    .slice(prefix.length)
    .split('__')
    .map((part) => part.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()));
}

/** Values parse as YAML: 5 is a number, "5" a string, [a, b] a list. The text is not told: it may be a secret. */
function parseValue(text: string, source: string): unknown {
  try {
    return parse(text, { logLevel: 'error', prettyErrors: false });
  } catch (thrown) {
    // What its messages quote stands behind these.
    const cause = messageOf(thrown).replace(/(:|escape sequence).*$/s, '');
    throw configError('CONFIG_INVALID', { problems: `${source}: the value is not valid YAML: ${cause}` });
  }
}
