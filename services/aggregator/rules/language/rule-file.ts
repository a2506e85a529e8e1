import { createHash } from 'node:crypto';
import type { Condition, Evidence, Rule, RuleParam, RuleSignal, Severity, Template } from '../rule.ts';
import { compileCondition } from './condition.ts';
import { later, namePattern, namesOfBy, type RuleDocument, ruleLimits, ruleSchema } from './rule-schema.ts';
import { type Path, type RuleProblem, RuleText } from './rule-text.ts';
import { noteIssues } from './schema-problems.ts';
import { placed, readSignal } from './signal-file.ts';
import { compileTemplate, templateWords } from './template.ts';

/** One rule file as it was read. */
export interface RuleFile {
  readonly file: string;
  readonly text: RuleText;
  /** What it says; undefined where its form is wrong already. */
  readonly document: RuleDocument | undefined;
  /** Undefined when something is wrong. */
  readonly rule: Rule | undefined;
  /** Those of this file alone, in its order; grows while rules are checked together. */
  readonly problems: readonly RuleProblem[];
}

/** What a rule file is checked against. */
export interface RuleFileOptions {
  /** How often sources are read, whole seconds. */
  readonly sampleIntervalS: number;
}

const severities = [
  ['critical', 3],
  ['warning', 2],
  ['info', 1],
] as const satisfies readonly (readonly [string, Severity])[];

/** Reads a rule file. Nothing is thrown: what is wrong stands in its problems. */
export function readRuleFile(file: string, content: string, options: RuleFileOptions): RuleFile {
  const text = new RuleText(file, content);
  const none = { file, text, document: undefined, rule: undefined, problems: text.problems };
  if (text.problems.length > 0) return none;
  if (content.length > ruleLimits.fileBytes) {
    text.note([], `found ${content.length} characters, expected at most ${ruleLimits.fileBytes}`);
    return none;
  }
  const parsed = ruleSchema.safeParse(text.content);
  if (!parsed.success) {
    noteIssues(text, parsed.error, ruleSchema, text.content);
    return none;
  }
  const document = parsed.data;
  const rule = new RuleReader(text, document, options).read();
  return { file, text, document, rule: text.problems.length > 0 ? undefined : rule, problems: text.problems };
}

/** Makes a rule of a document whose form is right. */
class RuleReader {
  readonly #text: RuleText;
  readonly #document: RuleDocument;
  readonly #options: RuleFileOptions;
  readonly #signals: readonly string[];
  readonly #params: readonly string[];
  /** Signals and params that something uses. */
  readonly #used = new Set<string>();
  /** Those that conditions of `when` and `resolve` use. */
  readonly #deciding = new Set<string>();
  /** Those whose worst group the summary names. */
  readonly #named = new Set<string>();

  constructor(text: RuleText, document: RuleDocument, options: RuleFileOptions) {
    this.#text = text;
    this.#document = document;
    this.#options = options;
    this.#signals = Object.keys(document.signals);
    this.#params = Object.keys(document.params);
  }

  /** Undefined where names are wrong: expressions would be, too. */
  read(): Rule | undefined {
    const document = this.#document;
    this.#checkNames();
    if (this.#text.problems.length > 0) return undefined;
    const signals = this.#readSignals();
    const rule: Omit<Rule, 'deciding' | 'named'> = {
      id: document.id,
      title: document.title,
      why: document.why,
      version: versionOf(document, signals),
      entity: document.entity,
      clock: this.#clock(),
      signals,
      params: Object.entries(document.params).map(([name, param]): RuleParam => ({ name, default: param.default })),
      when: this.#readWhen(),
      resolve: document.resolve === undefined ? undefined : this.#condition(document.resolve, ['resolve']),
      ...(document.resolve === undefined ? {} : { resolveExpression: document.resolve }),
      forS: document.for,
      keepFiringForS: document.keep_firing_for,
      settleS: document.settle,
      causedBy: document.caused_by,
      summary: this.#template(document.summary, ['summary']),
      evidence: this.#readEvidence(),
      runbook: document.runbook,
      maxActive: document.max_active,
    };
    this.#checkUse();
    const slotsOf = (names: ReadonlySet<string>): number[] => signals.flatMap(({ name }, slot) => (names.has(name) ? [slot] : []));
    return { ...rule, deciding: slotsOf(this.#deciding), named: slotsOf(this.#named) };
  }

  #checkNames(): void {
    const reserved = new Set(['params', ...Object.keys(templateWords)]);
    const check = (names: readonly string[], key: 'signals' | 'params', most: number): void => {
      if (names.length > most) this.#text.note([key], `found ${names.length}, expected at most ${most}`, 0, 'key');
      for (const name of names) {
        if (Object.hasOwn(later, name) && key === 'signals')
          this.#text.note([key, name], `found ${name}, expected another name: it will mean something`, 0, 'key');
        else if (reserved.has(name) || celWords.has(name))
          this.#text.note([key, name], `found ${name}, expected another name: it means something already`, 0, 'key');
        else if (!namePattern.test(name))
          this.#text.note([key, name], `found ${name}, expected a name such as overflow_rate: lower case, digits, underscores`, 0, 'key');
      }
    };
    check(this.#signals, 'signals', ruleLimits.signals);
    check(this.#params, 'params', ruleLimits.params);
    if (this.#signals.length === 0) this.#text.note(['signals'], 'found none, expected at least one signal', 0, 'key');
  }

  #readSignals(): RuleSignal[] {
    const { entity } = this.#document;
    const { sampleIntervalS } = this.#options;
    return Object.entries(this.#document.signals).flatMap(([name, document]) => {
      const signal = readSignal(document, { text: this.#text, path: ['signals', name], entity, sampleIntervalS });
      return signal === undefined ? [] : [{ name, unit: document.unit, signal }];
    });
  }

  /** What the aggregator knows by itself needs no word of the node, which may be silent. */
  #clock(): Rule['clock'] {
    const names = Object.entries(this.#document.signals);
    const own = names.filter(([, { counter }]) => counter !== undefined && /^(node|pipeline)\./.test(counter));
    if (own.length > 0 && own.length < names.length)
      this.#text.note(
        ['signals', own[0][0], 'counter'],
        `found ${own[0][1].counter} beside signals of another clock, expected a rule of its own: a silent node tells nothing else`,
      );
    return own.length > 0 ? 'partition' : 'node';
  }

  #readWhen(): Rule['when'] {
    const when = severities.flatMap(([name, severity]) => {
      const expression = this.#document.when[name];
      return expression === undefined ? [] : [{ severity, condition: this.#condition(expression, ['when', name]), expression }];
    });
    if (when.length === 0) this.#text.note(['when'], 'found none, expected at least one of info, warning, critical', 0, 'key');
    return when;
  }

  #readEvidence(): Evidence[] {
    return this.#document.evidence.map(({ when, say, weight }, index) => ({
      when: this.#condition(when, ['evidence', index, 'when']),
      say: this.#template(say, ['evidence', index, 'say']),
      weight,
    }));
  }

  #condition(expression: string, path: Path): Condition {
    const compiled = placed(this.#text, path, () => compileCondition(expression, this.#signals, this.#params));
    for (const name of compiled?.used ?? []) {
      this.#used.add(name);
      if (path[0] !== 'evidence') this.#deciding.add(name);
    }
    return compiled?.condition ?? (() => false);
  }

  #template(source: string, path: Path): Template {
    const grouped = new Map(this.#signals.map((name) => [name, namesOfBy(this.#document.signals[name].by)]));
    const compiled = placed(this.#text, path, () => compileTemplate(source, { signals: this.#signals, grouped, params: this.#params }));
    for (const name of compiled?.used ?? []) this.#used.add(name);
    if (path[0] === 'summary') for (const name of compiled?.groups ?? []) this.#named.add(name);
    return compiled?.template ?? { source, render: () => source };
  }

  #checkUse(): void {
    // What an expression with a mistake uses is not known.
    if (this.#text.problems.length > 0) return;
    const note = (key: string, name: string): void =>
      this.#text.note([key, name], `nothing uses ${name}; use it in when, resolve, evidence or summary, or take it out`, 0, 'key');
    for (const name of this.#signals) if (!this.#used.has(name)) note('signals', name);
    for (const name of this.#params) if (!this.#used.has(`params.${name}`)) note('params', name);
  }
}

/** Words of CEL that are no names. */
const celWords = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while known min max abs'.split(
    ' ',
  ),
);

/**
 * What a rule says, without its tests and what it says for people only: their change must not end findings. Windows count as they
 * are, which may be longer than the rule says: those of another length are other windows.
 */
function versionOf(
  { tests: _tests, blind_spots: _spots, false_positives: _positives, ...said }: RuleDocument,
  signals: readonly RuleSignal[],
): string {
  const windows = signals.map(({ name, signal }) => [name, { ...said.signals[name], window: signal.windowS }]);
  const meant = { ...said, signals: { ...said.signals, ...Object.fromEntries(windows) } };
  return `sha256:${createHash('sha256').update(JSON.stringify(meant)).digest('hex').slice(0, 16)}`;
}
