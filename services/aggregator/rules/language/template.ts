import { suggestion } from '../../../../core/suggestion.ts';
import type { Template, TemplateValues } from '../rule.ts';
import { formatNames, formatNumber, type NumberFormat } from './number-format.ts';
import { TextError } from './text-error.ts';

/** A template that was checked, and the names that it uses: fill, params.overflow_rate. */
export interface CompiledTemplate {
  readonly template: Template;
  readonly used: ReadonlySet<string>;
  /** Signals whose worst group is named. */
  readonly groups: ReadonlySet<string>;
}

/** Names that a rule's templates may use. */
export interface TemplateNames {
  readonly signals: readonly string[];
  /** What each groups by; empty: it does not. */
  readonly grouped: ReadonlyMap<string, readonly string[]>;
  readonly params: readonly string[];
}

const maxLength = 512;
type Part = (values: TemplateValues) => string;

/** Words that stand for who and where, in every rule. */
export const templateWords: Readonly<Record<string, { readonly meaning: string; readonly part: Part }>> = {
  entity: { meaning: 'whom the finding is about: shop/web-0, the name of a namespace, a node', part: (values) => values.entity },
  pod: { meaning: 'the same, in rules of Pods', part: (values) => values.entity },
  node: { meaning: 'its node', part: (values) => values.node },
  peer: {
    meaning: "the far end that was seen most in the rule's records",
    part: (values) => (values.peer === '' ? 'nobody known' : values.peer),
  },
};

/**
 * Compiles a sentence with places: `{pod}`, `{overflows}`, `{throttled:%}`, `{fill.by}`, `{worst.by.peer}`, `{params.fill}`. A brace of the
 * text itself is doubled. Throws TextError.
 */
export function compileTemplate(source: string, names: TemplateNames): CompiledTemplate {
  if (source.length > maxLength) throw new TextError(`found ${source.length} characters, expected at most ${maxLength}`, 0);
  const used = new Set<string>();
  const groups = new Set<string>();
  const parts: Part[] = [];
  const pattern = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g;
  for (const match of source.matchAll(pattern)) {
    const [whole, inside] = match;
    if (inside !== undefined) parts.push(placeOf(inside, names, { used, groups }, match.index));
    else if (whole === '{' || whole === '}')
      throw new TextError(`found a single ${whole}, expected a place such as {pod}, or ${whole}${whole} for the brace itself`, match.index);
    else {
      const text = whole === '{{' ? '{' : whole === '}}' ? '}' : whole;
      parts.push(() => text);
    }
  }
  const render = (values: TemplateValues): string => parts.map((part) => part(values)).join('');
  return { template: { source, render }, used, groups };
}

interface UsedNames {
  readonly used: Set<string>;
  readonly groups: Set<string>;
}

function placeOf(inside: string, { signals, grouped, params }: TemplateNames, { used, groups }: UsedNames, at: number): Part {
  const [, name, format] = /^\s*([\w.]+)\s*(?::\s*(.*?)\s*)?$/.exec(inside) ?? [];
  if (name === undefined) throw new TextError(`found {${inside}}, expected a name, and perhaps a format: {throttled:%}`, at);
  const word = Object.hasOwn(templateWords, name) ? templateWords[name].part : undefined;
  if (word !== undefined) {
    if (format !== undefined) throw new TextError(`found {${inside}}, expected no format: {${name}} is a text`, at);
    return word;
  }
  if (format !== undefined && !isFormat(format)) throw new TextError(`found the format ${format}${suggestion(format, formatNames)}`, at);
  const [, ofSignal, part] = /^([^.]*)\.by(?:\.(.*))?$/.exec(name) ?? [];
  if (ofSignal !== undefined) return groupOf(ofSignal, part, format, { signals, grouped }, { used, groups }, at);
  if (name.startsWith('params.')) {
    const param = params.indexOf(name.slice('params.'.length));
    if (param < 0) throw new TextError(`there is no param ${name.slice('params.'.length)}${suggestion(name.slice(7), params)}`, at);
    used.add(name);
    return (values) => formatNumber(values.param(param), format);
  }
  const signal = signals.indexOf(name);
  if (signal < 0) throw new TextError(`there is no signal ${name}${suggestion(name, [...Object.keys(templateWords), ...signals])}`, at);
  used.add(name);
  return (values) => formatNumber(values.signal(signal), format);
}

function groupOf(
  name: string,
  part: string | undefined,
  format: NumberFormat | undefined,
  { signals, grouped }: Pick<TemplateNames, 'signals' | 'grouped'>,
  { used, groups }: UsedNames,
  at: number,
): Part {
  const signal = signals.indexOf(name);
  if (signal < 0) throw new TextError(`there is no signal ${name}${suggestion(name, signals)}`, at);
  const parts = grouped.get(name) ?? [];
  if (parts.length === 0) throw new TextError(`found {${name}.by}, but the signal ${name} has no \`by\``, at);
  if (format !== undefined) throw new TextError(`found {${name}.by:${format}}, expected no format: it is a text`, at);
  const place = part === undefined ? undefined : parts.indexOf(part);
  if (place === -1) throw new TextError(`found {${name}.by.${part}}, but ${name} is grouped by ${parts.join(' and ')}`, at);
  used.add(name);
  groups.add(name);
  return (values) => values.by(signal, place) || '?';
}

function isFormat(format: string): format is NumberFormat {
  return (formatNames as readonly string[]).includes(format);
}
