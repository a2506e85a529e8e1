import { expect, test } from 'vitest';
import type { TemplateValues } from '../rule.ts';
import { formatNumber, type NumberFormat } from './number-format.ts';
import { compileTemplate } from './template.ts';

const names = {
  signals: ['rate', 'fill', 'worst'],
  grouped: new Map([
    ['fill', ['port']],
    ['worst', ['peer', 'far_port']],
  ]),
  params: ['most'],
};
const values: TemplateValues = {
  entity: 'shop/web-0',
  node: 'node1',
  signal: (index) => [7.4321, 0.305][index],
  by: (index, part) => [[''], ['8080'], ['shop/db-0', '5432']][index].filter((_, place) => part === undefined || place === part).join(' '),
  param: () => 5,
  peer: 'shop/client-0',
};

test.each([
  ['{pod}: {rate}/s on {node}', 'shop/web-0: 7.43/s on node1'],
  ['{entity} port {fill.by} at {fill:%} of {params.most}', 'shop/web-0 port 8080 at 30.5 % of 5'],
  ['most from {peer}', 'most from shop/client-0'],
  ['{worst.by.peer} port {worst.by.far_port}, {worst.by}, {fill.by.port}', 'shop/db-0 port 5432, shop/db-0 5432, 8080'],
  ['{{literal}} { rate : integer }', '{literal} 7'],
  ['nothing', 'nothing'],
])('%s renders as %s', (source, text) => {
  const { template } = compileTemplate(source, names);
  expect(template.source).toBe(source);
  expect(template.render(values)).toBe(text);
});

test('what is not known is said so', () => {
  const render = (source: string): string =>
    compileTemplate(source, names).template.render({ ...values, peer: '', signal: () => Number.NaN, by: () => '' });
  expect(render('{rate} {rate:%} {fill.by} {peer}')).toBe('no data no data ? nobody known');
});

test('names that are used are told', () => {
  expect([...compileTemplate('{pod} {rate} {fill.by} {params.most:integer} {peer}', names).used].sort()).toEqual([
    'fill',
    'params.most',
    'rate',
  ]);
});

test.each([
  ['a {rat} b', 2, 'there is no signal rat; did you mean rate?'],
  ['{fill.bi}', 0, 'there is no signal fill.bi'],
  ['{rate.by}', 0, 'the signal rate has no `by`'],
  ['{fil.by}', 0, 'there is no signal fil; did you mean fill?'],
  ['{worst.by.port}', 0, 'found {worst.by.port}, but worst is grouped by peer and far_port'],
  ['{rate.by.port}', 0, 'the signal rate has no `by`'],
  ['{fill.by:%}', 0, 'expected no format: it is a text'],
  ['{pod:%}', 0, 'expected no format: {pod} is a text'],
  ['{rate:percent}', 0, 'found the format percent; expected one of %, integer'],
  ['{params.mots}', 0, 'there is no param mots; did you mean most?'],
  ['x {}', 2, 'found {}, expected a name'],
  ['x {rate', 2, 'found a single {'],
  ['x } y', 2, 'found a single }'],
  ['{toString}', 0, 'there is no signal toString'],
  ['x'.repeat(513), 0, 'expected at most 512'],
])('%s is refused', (source, at, message) => {
  expect(() => compileTemplate(source, names)).toThrow(expect.objectContaining({ at, message: expect.stringContaining(message) }));
});

test.each<readonly [number, NumberFormat | undefined, string]>([
  [7.4321, undefined, '7.43'],
  [0, undefined, '0'],
  [-0.0000001, undefined, '-1e-7'],
  [1234.5, undefined, '1235'],
  [0.012345, undefined, '0.0123'],
  [99.96, undefined, '100'],
  [Number.NaN, '%', 'no data'],
  [Number.POSITIVE_INFINITY, undefined, 'infinitely many'],
  [0.305, '%', '30.5 %'],
  [1, '%', '100 %'],
  [-0.4, 'integer', '0'],
  [7.5, 'integer', '8'],
  [0, 'seconds', '0 s'],
  [0.35, 'seconds', '350 ms'],
  [75, 'seconds', '75 s'],
  [1200, 'us', '1.2 ms'],
  [12, 'us', '12 µs'],
  [1_572_864, 'bytes', '1.5 MiB'],
  [512, 'bytes', '512 B'],
  [2 ** 60, 'bytes', '1048576 TiB'],
])('%d as %s is %s', (value, format, text) => {
  expect(formatNumber(value, format)).toBe(text);
});
