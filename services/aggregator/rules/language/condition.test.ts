import { Environment } from '@marcbachmann/cel-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileCondition } from './condition.ts';

const signals = ['a', 'b', 'c'];
const params = ['p', 'q'];

/** Values that arithmetic and comparisons treat in their own ways. */
const number = fc.oneof(
  fc.constantFrom(Number.NaN, 0, -0, 1, -1, 0.5, 5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, 5e-324),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true }),
);

const literal = fc.oneof(
  fc.constantFrom('0', '1', '2', '-1', '0.5', '5', '1e3', '0x10', '100'),
  fc.integer({ min: 0, max: 1000 }).map(String),
);

/** Expressions of the subset, as text: numbers and conditions that hold each other. */
const { condition } = fc.letrec<{ number: string; condition: string }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(literal, fc.constantFrom(...signals, ...params.map((name) => `params.${name}`))),
    fc.tuple(tie('number'), fc.constantFrom('+', '-', '*', '/'), tie('number')).map(([x, op, y]) => `(${x} ${op} ${y})`),
    tie('number').map((x) => `-(${x})`),
    fc.tuple(fc.constantFrom('min', 'max'), tie('number'), tie('number')).map(([name, x, y]) => `${name}(${x}, ${y})`),
    tie('number').map((x) => `abs(${x})`),
    fc.tuple(tie('condition'), tie('number'), tie('number')).map(([c, x, y]) => `(${c} ? ${x} : ${y})`),
  ),
  condition: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.tuple(tie('number'), fc.constantFrom('<', '<=', '>', '>=', '=='), tie('number')).map(([x, op, y]) => `${x} ${op} ${y}`),
    fc.tuple(tie('number'), fc.array(literal, { minLength: 1, maxLength: 3 })).map(([x, list]) => `${x} in [${list.join(', ')}]`),
    tie('number').map((x) => `known(${x})`),
    fc.constantFrom('true', 'false'),
    tie('condition').map((c) => `!(${c})`),
    fc.tuple(tie('condition'), fc.constantFrom('&&', '||', '=='), tie('condition')).map(([c, op, d]) => `((${c}) ${op} (${d}))`),
    fc.tuple(tie('condition'), tie('condition'), tie('condition')).map(([c, d, e]) => `((${c}) ? (${d}) : (${e}))`),
  ),
}));

/** cel-js walks its own tree. Literals of the text are doubles, as CEL has no int * double. */
function byCel(text: string, values: readonly number[]): unknown {
  const environment = new Environment({ limits: { maxAstNodes: 100_000, maxDepth: 200 } });
  for (const name of signals) environment.registerVariable(name, 'double');
  environment.registerVariable({ name: 'params', schema: Object.fromEntries(params.map((name) => [name, 'double'])) });
  environment.registerFunction('known(double): bool', (x: number) => !Number.isNaN(x));
  environment.registerFunction('min(double, double): double', (x: number, y: number) => Math.min(x, y));
  environment.registerFunction('max(double, double): double', (x: number, y: number) => Math.max(x, y));
  environment.registerFunction('abs(double): double', (x: number) => Math.abs(x));
  const doubles = text.replace(/(?<![\w.])(0x[0-9a-f]+|\d+)(?![\w.])/g, (integer) => `${Number(integer)}.0`);
  return environment.evaluate(doubles, {
    ...Object.fromEntries(signals.map((name, index) => [name, values[index]])),
    params: Object.fromEntries(params.map((name, index) => [name, values[signals.length + index]])),
  });
}

test('a compiled condition says what cel-js says of the same expression, without data too', () => {
  const slots = fc.array(number, { minLength: 5, maxLength: 5 });
  const verdicts = { true: 0, false: 0 };
  fc.assert(
    fc.property(condition, fc.array(slots, { minLength: 3, maxLength: 3 }), (text, rows) => {
      fc.pre(text.length <= 300);
      const { condition: compiled } = compileCondition(text, signals, params);
      for (const row of rows) {
        const expected = byCel(text, row);
        expect(compiled(Float64Array.from(row)), `${text} with ${row.join(' ')}`).toBe(expected);
        verdicts[expected === true ? 'true' : 'false']++;
      }
    }),
    { numRuns: 1000 },
  );
  expect(Math.min(verdicts.true, verdicts.false)).toBeGreaterThan(200);
});

test.each([
  ['a == 0', [0], true],
  ['a == 0', [-0], true],
  ['a == 0', [Number.NaN], false],
  ['1 / 2 > 0.4', [], true],
  ['5 * params.p < a', [6, 0, 0, 1], true],
  ['a < 1 || a >= 1', [Number.NaN], false],
  ['!(a >= 0.5)', [Number.NaN], true],
  ['known(a)', [Number.NaN], false],
  ['a / 0 > 5', [1], true],
  ['known(a / b)', [0, 0], false],
  ['a in [1, -2]', [-2], true],
] as const)('%s with %j is %j', (text, row, expected) => {
  const slots = new Float64Array(5);
  slots.set(row);
  expect(compileCondition(text, signals, params).condition(slots)).toBe(expected);
});

test('the second operand is not looked at where the first one decides', () => {
  const { condition: compiled } = compileCondition('a > 0 && b > 0 || c > 0 ? a > 1 : b > 1', signals, params);
  const read: string[] = [];
  const slots = new Proxy(new Float64Array([0, 0, 1]), {
    get(target, key) {
      read.push(String(key));
      return target[Number(key)];
    },
  });
  expect(compiled(slots)).toBe(false);
  expect(read).toEqual(['0', '2', '0']);
});

test('what is used is told by its name', () => {
  const { used } = compileCondition('a > params.q || min(b, 1) > 0', signals, params);
  expect([...used].sort()).toEqual(['a', 'b', 'params.q']);
});

test.each([
  ['', 0, 'empty expression'],
  ['a', 0, 'found a number, expected a condition'],
  ['a >', 3, 'found its end'],
  ['a = 1', 2, 'did you mean ==?'],
  ['a > 1 and b > 1', 6, 'CEL writes && || !'],
  ['a > 1 && d > 1', 9, 'there is no signal d'],
  ['params.pp > 1', 7, 'there is no param pp; did you mean p?'],
  ['a.by == "x"', 2, 'expected a signal by its name alone'],
  ['params > 1', 0, 'expected params.<name>'],
  ['knwn(a)', 0, 'there is no function knwn; did you mean known?'],
  ['known(a, b)', 0, 'expected known(double): bool'],
  ['a > "x"', 0, 'double > string'],
  ['a % 2 == 0', 0, 'double % double'],
  ['b > 1 && a != 0', 9, 'known(x) && !(x == 0)'],
  ['a > 1u', 4, 'another kind'],
  ['a == null', 5, 'another kind'],
  ['size("x") > 1', 0, 'size'],
  ['[1, 2].exists(x, x > 1)', 0, 'x'],
  ['{"a": 1}["a"] > 1', 0, '[]'],
  ['a in b', 0, 'b'],
  ['"a" < "b"', 0, '`<` here'],
  [`a > ${'('.repeat(60)}1${')'.repeat(60)}`, 0, 'too large'],
  [`a > 1${' && a > 1'.repeat(90)}`, 0, 'too large'],
  ['a > 1 '.padEnd(1025), 0, 'at most 1024'],
])('%s is refused', (text, at, message) => {
  let thrown: unknown;
  try {
    compileCondition(text, signals, params);
  } catch (error) {
    thrown = error;
  }
  expect(String(thrown)).toContain(message);
  if (at > 0) expect((thrown as { at: number }).at).toBe(at);
  expect(thrown).toHaveProperty('name', 'TextError');
});
