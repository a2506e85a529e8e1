import { readFileSync } from 'node:fs';
import { type Document, LineCounter, parseDocument, visit } from 'yaml';
import { type AppError, messageOf } from '../app-error.ts';
import { yamlNodeAt } from '../yaml-node.ts';
import { configError } from './errors.ts';
import { speaksOfSecret, withoutUserinfo } from './hidden.ts';
import { isTree, type Tree, withoutEmpty } from './tree.ts';

/** A place in a text; both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A configuration file as read. */
export interface YamlFile {
  readonly tree: Tree;
  /** Where a path's value stands, or its key; undefined where the file does not say it. */
  positionOf(path: readonly PropertyKey[], what: 'key' | 'value'): Position | undefined;
}

const maxExcerpt = 60;

/** The text of a configuration file. Throws CONFIG_UNREADABLE. */
export function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    throw configError('CONFIG_UNREADABLE', { file, cause: messageOf(thrown) }, thrown);
  }
}

/** Parses a configuration file. Throws CONFIG_SYNTAX with file, line, column, found, expected. */
export function parseYamlFile(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problem = document.errors[0];
  if (problem !== undefined) throw syntaxError(file, text, at(problem.pos[0]), problem.message);
  let content: unknown;
  try {
    content = document.toJS();
  } catch (thrown) {
    // An alias without its anchor, or too many of them.
    throw syntaxError(file, text, at(firstAlias(document)), messageOf(thrown));
  }
  const root = document.contents;
  if (content !== null && !isTree(content))
    throw syntaxError(file, text, at((root?.range ?? [0])[0]), 'expected a mapping of sections', excerptOf(text));
  return {
    tree: content === null ? {} : withoutEmpty(content),
    positionOf(path, what) {
      const { node, isThere } = yamlNodeAt(document, path, what);
      const offset = node?.range?.[0];
      return offset === undefined || !isThere || path.length === 0 ? undefined : at(offset);
    },
  };
}

function syntaxError(file: string, text: string, { line, column }: Position, cause: string, found?: string): AppError {
  const lines = text.split('\n').slice(Math.max(0, line - 2), line);
  const hidden = lines.some((one) => speaksOfSecret(one));
  const excerpt = hidden ? 'a line that is not shown' : (found ?? excerptOf((lines.at(-1) ?? '').slice(column - 1)));
  // Some of the parser's sentences say what is wrong ("Unexpected scalar at node end"), and not what it would have taken; some
  // quote what they are about.
  const says = hidden ? cause.startsWith('expected ') : /^expected |\b(must|need)\b/.test(cause);
  const expected = says ? cause.replace(/^expected /, '') : 'valid YAML';
  const why = says || hidden ? '' : ` (${cause})`;
  const problems = `${file}:${line}:${column}: not valid YAML: found ${excerpt}, expected ${expected}${why}`;
  return configError('CONFIG_SYNTAX', { problems, file, line, column, found: excerpt, expected });
}

function excerptOf(text: string): string {
  const first = withoutUserinfo(text.trim().split('\n')[0]);
  return first === '' ? 'nothing' : JSON.stringify(first.length > maxExcerpt ? `${first.slice(0, maxExcerpt)}…` : first);
}

/** Where the first alias without its anchor stands; else the first one. */
function firstAlias(document: Document.Parsed): number {
  const found: { offset: number; resolved: boolean }[] = [];
  visit(document, {
    Alias: (_, alias) => void found.push({ offset: alias.range?.[0] ?? 0, resolved: alias.resolve(document) !== undefined }),
  });
  return (found.find(({ resolved }) => !resolved) ?? found[0])?.offset ?? 0;
}
