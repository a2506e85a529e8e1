import type { ZodError, ZodType } from 'zod';
import { AppError, type ErrorDetails } from '../app-error.ts';
import { closestOf, suggestion } from '../suggestion.ts';
import { configError } from './errors.ts';
import { expectedOf } from './expected.ts';
import { valueAt } from './field.ts';
import { mayHoldSecret, notShown, withoutUserinfo } from './hidden.ts';
import { type Gathered, type Origin, originText } from './sources.ts';
import { schemaAt, shapeOf } from './traits.ts';

/** Something wrong with a configuration. */
export interface ConfigProblem {
  /** All of it in one line. */
  readonly text: string;
  readonly path?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly found?: string;
  readonly expected?: string;
}

type Issue = ZodError['issues'][number];

const maxFound = 80;

/** What a check found, as problems with their places, in the order of the file; those of other sources follow. */
export function problemsOf(error: ZodError, schema: ZodType, gathered: Gathered): ConfigProblem[] {
  const problems = error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownKey([...issue.path, key], schema, gathered))
      : [wrongValue(issue, schema, gathered)],
  );
  const lineOf = ({ line = Number.MAX_SAFE_INTEGER }: ConfigProblem): number => line;
  return problems.sort((a, b) => lineOf(a) - lineOf(b) || (a.column ?? 0) - (b.column ?? 0));
}

/** All problems as one error, whose details are those of the first. */
export function errorOf(problems: readonly ConfigProblem[]): AppError {
  const [first] = problems;
  const { text: _, ...details } = first ?? { text: '' };
  return configError('CONFIG_INVALID', { ...details, problems: problems.map(({ text }) => text).join('\n') });
}

/** What was thrown while the sources were read, as a problem; rethrows what is none. */
export function problemOfThrown(thrown: unknown): ConfigProblem {
  if (!(thrown instanceof AppError)) throw thrown;
  const { problems: _, cause: __, ...details } = thrown.details as ErrorDetails & Omit<ConfigProblem, 'text'>;
  return { ...details, text: thrown.message };
}

function unknownKey(path: readonly PropertyKey[], schema: ZodType, gathered: Gathered): ConfigProblem {
  const known = Object.keys(shapeOf(schemaAt(schema, path.slice(0, -1)) ?? schema) ?? {});
  const key = String(path[path.length - 1]);
  const expected = closestOf(key, known) ?? `one of ${known.join(', ')}`;
  return placed(path, gathered.originOf(path, 'key'), `no such setting${suggestion(key, known)}`, JSON.stringify(key), expected);
}

function wrongValue(issue: Issue, schema: ZodType, gathered: Gathered): ConfigProblem {
  const { path } = issue;
  const at = schemaAt(schema, path);
  const origin = gathered.originOf(path, 'value');
  // A field of a type of its own tells both in its message.
  const own = /^found (.*), expected (.*)$/s.exec(issue.message);
  const value = valueAt(gathered.tree, path);
  const found = mayHoldSecret(schema, path) ? notShown : (own?.[1] ?? withoutUserinfo(valueText(value)));
  const expected = own?.[2] ?? (at === undefined ? issue.message : expectedOf(at));
  return placed(path, origin, `found ${found}, expected ${expected}`, found, expected);
}

function placed(path: readonly PropertyKey[], origin: Origin, what: string, found: string, expected: string): ConfigProblem {
  const place = origin.kind === 'file' ? { file: origin.file, line: origin.line, column: origin.column } : {};
  const where = origin.kind === 'default' ? '' : `${originText(origin)}: `;
  const name = path.map(String).join('.');
  return { text: `${where}${name || 'configuration'}: ${what}`, path: name, ...place, found, expected };
}

function valueText(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > maxFound ? `${text.slice(0, maxFound)}…` : text;
}
