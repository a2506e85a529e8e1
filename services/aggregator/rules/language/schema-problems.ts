import type { ZodError, ZodType } from 'zod';
import { valueAt } from '../../../../core/config/field.ts';
import { schemaAt, shapeOf } from '../../../../core/config/traits.ts';
import { suggestion } from '../../../../core/suggestion.ts';
import { later } from './rule-schema.ts';
import type { Path, RuleText } from './rule-text.ts';

type Issue = ZodError['issues'][number];

const maxFound = 60;

/** Notes what a schema does not take, each at its place. @param root the path at which the schema was applied */
export function noteIssues(text: RuleText, error: ZodError, schema: ZodType, value: unknown, root: Path = []): void {
  for (const issue of error.issues) {
    const path = [...root, ...issue.path];
    if (issue.code === 'unrecognized_keys') for (const key of issue.keys) noteKey(text, path, key, keysAt(schema, issue.path));
    else text.note(path, messageOf(issue, valueAt(value, issue.path)));
  }
}

function noteKey(text: RuleText, path: Path, key: string, known: readonly string[]): void {
  const message = Object.hasOwn(later, key) ? `found ${key}: ${later[key]}` : `there is no field ${key}${suggestion(key, known)}`;
  text.note([...path, key], message, 0, 'key');
}

function messageOf(issue: Issue, value: unknown): string {
  const found = value === undefined ? 'found nothing' : `found ${shown(value)}`;
  if (typeof value === 'string' && Object.hasOwn(later, value) && issue.code === 'invalid_value') return `${found}: ${later[value]}`;
  switch (issue.code) {
    case 'invalid_value':
      return `${found}${typeof value === 'string' ? asFound(value, issue.values.map(String)) : `, expected one of ${issue.values.join(', ')}`}`;
    case 'too_small':
      return issue.message.startsWith('expected') ? `${found}, ${issue.message}` : `${found}, expected at least ${issue.minimum}`;
    case 'too_big':
      return issue.message.startsWith('expected') ? `${found}, ${issue.message}` : `${found}, expected at most ${issue.maximum}`;
    case 'invalid_type':
      return issue.message.startsWith('expected')
        ? `${found}, ${issue.message}`
        : `${found}, expected ${kinds[issue.expected] ?? issue.expected}`;
    default:
      return `${found}, ${issue.message}`;
  }
}

const kinds: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
};

function asFound(value: string, known: readonly string[]): string {
  return suggestion(value, known).replace('; expected', ', expected');
}

/** A value as people read it in an error. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > maxFound ? `${text.slice(0, maxFound)}…` : text;
}

/** Names of the fields that an object at this path may have. */
function keysAt(schema: ZodType, path: Path): string[] {
  const at = schemaAt(schema, path);
  return at === undefined ? [] : Object.keys(shapeOf(at) ?? {});
}
