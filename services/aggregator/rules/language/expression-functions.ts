/** A function that expressions may call. */
export interface ExpressionFunction {
  /** Called as name(x); undefined: it is a method that CEL brings along. */
  readonly name?: string;
  /** Called as text.method(other). */
  readonly method: string;
  /** As CEL declares it. */
  readonly signature: string;
  readonly meaning: string;
  readonly call: (...args: never[]) => number | boolean;
}

/** All functions that expressions may call. */
export const expressionFunctions: readonly ExpressionFunction[] = [
  {
    ...{ name: 'known', method: '', signature: 'known(double): bool', meaning: 'whether there is data: the number is not NaN' },
    call: (x: number) => !Number.isNaN(x),
  },
  {
    ...{ name: 'min', method: '', signature: 'min(double, double): double', meaning: 'the smaller one; NaN when one of them is' },
    call: (a: number, b: number) => Math.min(a, b),
  },
  {
    ...{ name: 'max', method: '', signature: 'max(double, double): double', meaning: 'the larger one; NaN when one of them is' },
    call: (a: number, b: number) => Math.max(a, b),
  },
  {
    ...{ name: 'abs', method: '', signature: 'abs(double): double', meaning: 'the number without its sign' },
    call: (x: number) => Math.abs(x),
  },
  {
    ...{ method: 'startsWith', signature: 'string.startsWith(string): bool', meaning: 'whether a text begins with another' },
    call: (text: string, other: string) => text.startsWith(other),
  },
  {
    ...{ method: 'endsWith', signature: 'string.endsWith(string): bool', meaning: 'whether a text ends with another' },
    call: (text: string, other: string) => text.endsWith(other),
  },
  {
    ...{ method: 'contains', signature: 'string.contains(string): bool', meaning: 'whether a text holds another' },
    call: (text: string, other: string) => text.includes(other),
  },
];

/** Operators that expressions may use, for the reference. */
export const expressionOperators: readonly (readonly [string, string])[] = [
  ['`+ - * /`, `-x`', 'numbers; all of them are doubles: `1 / 2` is 0.5, and a division by 0 is infinite or NaN'],
  ['`< <= > >=`', 'numbers; false where one of them is NaN'],
  ['`==`', 'numbers, texts, conditions; NaN equals nothing'],
  ['`!=`', 'texts, conditions, and numbers of a record; not between signals, where it would be true without data'],
  ['`&& || !`', 'conditions'],
  ['`c ? a : b`', 'one of two numbers, texts or conditions'],
  ['`x in [a, b]`', 'a number or text among literals'],
];
