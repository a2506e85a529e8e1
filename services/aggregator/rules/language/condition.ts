import type { Condition } from '../rule.ts';
import { Closures, type NameReaders } from './closures.ts';
import { type ExpressionNames, parseExpression } from './expression.ts';

/** A condition, and the names that it uses: fill, params.overflow_rate. */
export interface CompiledCondition {
  readonly condition: Condition;
  readonly used: ReadonlySet<string>;
}

/**
 * Compiles a condition of a rule: a CEL expression over its signals and params, which stand in the slots in this order.
 * Throws TextError.
 */
export function compileCondition(text: string, signals: readonly string[], params: readonly string[]): CompiledCondition {
  const names: ExpressionNames = {
    variables: new Map(signals.map((name) => [name, 'double'])),
    params,
    called: 'signal',
  };
  const { ast, used } = parseExpression(text, names, 'bool');
  const slots = [...signals, ...params.map((name) => `params.${name}`)];
  const readers: NameReaders<Float64Array, undefined> = {
    numbers: new Map(slots.map((name, slot) => [name, (values: Float64Array) => values[slot]])),
    texts: new Map(),
    refusesUnequalNumbers: true,
  };
  const compiled = new Closures(readers).boolean(ast);
  return { condition: (values) => compiled(values, undefined), used };
}
