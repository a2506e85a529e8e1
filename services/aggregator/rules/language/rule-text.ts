import { type Document, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { messageOf } from '../../../../core/app-error.ts';
import { yamlNodeAt } from '../../../../core/yaml-node.ts';

/** Something wrong with a rule file. */
export interface RuleProblem {
  readonly file: string;
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
  /** signals.fill.agg; empty: the file as a whole. */
  readonly path: string;
  /** What was found and expected, and what to do. */
  readonly message: string;
}

export type Path = readonly PropertyKey[];

/** Aliases that a rule file may use. */
const maxAliases = 50;

/** rules/x.yaml:12:5: signals.fill.agg: found "most", expected … */
export function problemText({ file, line, column, path, message }: RuleProblem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

/** The text of a rule file as YAML, with the places of its parts. */
export class RuleText {
  readonly file: string;
  readonly problems: RuleProblem[] = [];
  /** The file's content; undefined when it is no YAML. */
  readonly content: unknown;
  readonly #text: string;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(file: string, text: string) {
    this.file = file;
    this.#text = text;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [problem] = this.#document.errors;
    if (problem !== undefined)
      this.#add(problem.pos[0], '', `not valid YAML: ${problem.message}; expressions with [ ] { } , or # stand in quotes`);
    else this.content = this.#read();
  }

  /** Notes a problem at a path. @param offset of the place in the path's text, in characters */
  note(path: Path, message: string, offset = 0, what: 'key' | 'value' = 'value'): void {
    const node = yamlNodeAt(this.#document, path, what).node;
    const start = node?.range?.[0] ?? 0;
    this.#add(start + this.#within(node, offset), path.map(String).join('.'), message);
  }

  /** Where the path's value stands, for the messages of others. */
  lineOf(path: Path): number {
    return this.#lines.linePos(yamlNodeAt(this.#document, path, 'value').node?.range?.[0] ?? 0).line;
  }

  #read(): unknown {
    try {
      const content: unknown = this.#document.toJS({ maxAliasCount: maxAliases });
      // Throws where an alias is part of what it stands for.
      JSON.stringify(content);
      return content;
    } catch (thrown) {
      this.#add(0, '', `not valid YAML: ${messageOf(thrown)}`);
      return undefined;
    }
  }

  #add(at: number, path: string, message: string): void {
    const { line, col } = this.#lines.linePos(at);
    this.problems.push({ file: this.file, line: Math.max(line, 1), column: Math.max(col, 1), path, message });
  }

  /** How far into the file a place of a scalar's value is: exact where the value stands in the file as it is, on one line. */
  #within(node: Node | undefined, offset: number): number {
    if (offset === 0 || !isScalar(node) || typeof node.value !== 'string') return 0;
    const [start, end] = node.range ?? [0, 0];
    const at = this.#text.slice(start, end).indexOf(node.value);
    return at < 0 ? 0 : at + offset;
  }
}
