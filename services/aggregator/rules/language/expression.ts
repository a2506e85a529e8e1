import { type ASTNode, TypeError as CelTypeError, Environment, EvaluationError, ParseError } from '@marcbachmann/cel-js';
import { suggestion } from '../../../../core/suggestion.ts';
import { expressionFunctions } from './expression-functions.ts';
import { TextError } from './text-error.ts';

/** What a name stands for in an expression; numbers are doubles, NaN is no data. */
export type NameType = 'double' | 'string';

/** Names that an expression may use. */
export interface ExpressionNames {
  readonly variables: ReadonlyMap<string, NameType>;
  /** Numbers that are called params.<name>. */
  readonly params: readonly string[];
  /** What the variables are called in errors: signal, value of the record, label. */
  readonly called: string;
}

/** An expression that was parsed and whose types are right; its integers are doubles. */
export interface Expression {
  readonly ast: ASTNode;
  /** Names that it uses: fill, params.overflow_rate. */
  readonly used: ReadonlySet<string>;
}

/** Characters, nested parts and operations of one expression. */
export const expressionLimits = { characters: 1024, depth: 24, nodes: 200 } as const;

/** Parses an expression and checks its types by CEL's rules. Throws TextError. */
export function parseExpression(text: string, names: ExpressionNames, type: 'bool' | 'double'): Expression {
  if (text.length > expressionLimits.characters)
    throw new TextError(`found ${text.length} characters, expected at most ${expressionLimits.characters}`, 0);
  if (text.trim() === '') throw new TextError('found an empty expression, expected a condition such as `overflows > 1`', 0);
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environmentOf(names).parse(text);
  } catch (thrown) {
    throw new TextError(parseMessage(thrown, text), positionOf(thrown) ?? 0);
  }
  const used = new Set<string>();
  // CEL knows no int * double, and 1 / 2 would be 0: an expression of a rule has doubles only.
  visit(parsed.ast, used, names);
  const checked = parsed.check();
  if (!checked.valid) throw new TextError(typeMessage(checked.error, names), positionOf(checked.error) ?? 0);
  if (checked.type !== type) throw new TextError(`found ${article[checked.type ?? '']}, expected ${article[type]}`, parsed.ast.pos);
  return { ast: parsed.ast, used };
}

const article: Readonly<Record<string, string>> = {
  bool: 'a condition (true or false)',
  double: 'a number',
  string: 'a text',
};

function environmentOf({ variables, params }: ExpressionNames): Environment {
  const environment = new Environment({ limits: { maxAstNodes: expressionLimits.nodes, maxDepth: expressionLimits.depth } });
  for (const [name, type] of variables) environment.registerVariable(name, type);
  if (params.length > 0)
    environment.registerVariable({ name: 'params', schema: Object.fromEntries(params.map((name) => [name, 'double'])) });
  for (const { name, signature, call } of expressionFunctions) if (name !== undefined) environment.registerFunction(signature, call);
  return environment;
}

type Visited = { readonly op: string; args: unknown; readonly pos: number };

function visit(node: ASTNode, used: Set<string>, names: ExpressionNames): void {
  const { op, args } = node;
  if (op === 'value') {
    if (typeof args === 'bigint') (node as Visited).args = Number(args);
    else if (typeof args !== 'number' && typeof args !== 'string' && typeof args !== 'boolean')
      throw new TextError('found a literal of another kind, expected a number such as 0.5 or a text such as "FULL"', node.pos);
  } else if (op === 'id') {
    if (args === 'params') throw new TextError('found params alone, expected params.<name>', node.pos);
    used.add(args);
  } else if (op === '.') {
    const [owner, field] = args;
    if (owner.op !== 'id' || owner.args !== 'params')
      throw new TextError(`found .${field}, expected a ${names.called} by its name alone, or params.<name>`, node.pos);
    used.add(`params.${field}`);
  } else for (const child of childrenOf(node)) visit(child, used, names);
}

/** Operands of a node that has some. */
export function childrenOf({ op, args }: ASTNode): readonly ASTNode[] {
  if (op === 'call') return args[1];
  if (op === 'rcall') return [args[1], ...args[2]];
  if (op === '!_' || op === '-_') return [args];
  return Array.isArray(args) ? (args as readonly unknown[]).filter(isNode) : [];
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value;
}

function positionOf(thrown: unknown): number | undefined {
  return isCelError(thrown) ? (thrown.range?.start ?? thrown.node?.pos) : undefined;
}

function isCelError(thrown: unknown): thrown is ParseError | CelTypeError | EvaluationError {
  return thrown instanceof ParseError || thrown instanceof CelTypeError || thrown instanceof EvaluationError;
}

function parseMessage(thrown: unknown, text: string): string {
  if (!isCelError(thrown)) throw thrown;
  const rest = text.slice(positionOf(thrown) ?? 0);
  if (thrown.code === 'limit_exceeded' || /exceed|limit|maximum/i.test(thrown.summary))
    return `found too large an expression (${thrown.summary}), expected at most ${expressionLimits.nodes} operations, ${expressionLimits.depth} deep`;
  const hint = /^=(?!=)/.test(rest) ? '; did you mean ==?' : /^(and|or|not)\b/.test(rest) ? '; CEL writes && || !' : '';
  return `found ${rest.trim() === '' ? 'its end' : `\`${rest.slice(0, 20)}\``}, expected the rest of a CEL expression (${thrown.summary})${hint}`;
}

/** CEL's own words for wrong types, and ours for unknown names. */
function typeMessage(thrown: unknown, { variables, params, called }: ExpressionNames): string {
  if (!isCelError(thrown)) throw thrown;
  const { summary, code } = thrown;
  const name = /: (\S+)$/.exec(summary)?.[1] ?? '';
  if (code === 'unknown_variable' && name === 'params') return 'found params, but the rule has none';
  if (code === 'unknown_variable') return `there is no ${called} ${name}${suggestion(name, [...variables.keys()])}`;
  if (code === 'no_such_key') return `there is no param ${name}${suggestion(name, params)}`;
  const called_ = /^found no matching overload for '(?:\w+\.)?(\w+)\(/.exec(summary)?.[1];
  if (called_ !== undefined) {
    const known = expressionFunctions.map((one) => one.name ?? one.method);
    return known.includes(called_)
      ? `${summary}; expected ${expressionFunctions.find((one) => (one.name ?? one.method) === called_)?.signature}`
      : `there is no function ${called_}${suggestion(called_, known)}`;
  }
  return summary.replace('no such overload: ', 'these types do not go together: ');
}
