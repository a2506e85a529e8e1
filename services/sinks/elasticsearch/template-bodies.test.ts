import { expect, test } from 'vitest';
import { eventMapping } from './mapping.ts';
import { templateBodies } from './template-bodies.ts';

// The server of the tests has no ILM: what is installed for it is checked for its shape only.
test('with ILM the settings name the policy, which deletes an index after its days; without, they do not', () => {
  const { policy, components, template } = templateBodies('flows', 14, true);
  expect(policy.body.policy).toMatchObject({ phases: { delete: { min_age: '14d', actions: { delete: {} } } } });
  expect(components[1]).toMatchObject({
    name: 'flows-settings',
    body: { template: { settings: { index: { lifecycle: { name: policy.name } } } } },
  });
  expect(template.body).toMatchObject({ index_patterns: ['flows-*'], composed_of: ['flows-mappings', 'flows-settings', 'flows@custom'] });
  expect(templateBodies('flows', 14, false).components[1].body).toMatchObject({ template: { settings: { index: {} } } });
  expect(JSON.stringify(templateBodies('flows', 14, false).components)).not.toContain('lifecycle');
});

test('another content is another hash, the same is the same', () => {
  const hashes = [
    templateBodies('a', 30, true),
    templateBodies('a', 31, true),
    templateBodies('a', 30, false),
    templateBodies('b', 30, true),
  ];
  expect(new Set(hashes.map(({ hash }) => hash)).size).toBe(4);
  expect(templateBodies('a', 30, true).hash).toBe(hashes[0].hash);
});

test('the mapping has one type a field, flattened groups, and needs no scripts', () => {
  const text = JSON.stringify(eventMapping());
  expect(text).not.toMatch(/"runtime"|"script"|constant_keyword|wildcard/);
  expect(
    eventMapping([
      { path: 'a.b[].c', type: 'keyword', description: '' },
      { path: 'a.by.*', type: 'keyword', description: '' },
    ]),
  ).toMatchObject({
    dynamic: false,
    properties: { a: { properties: { b: { properties: { c: { type: 'keyword' } } }, by: { type: 'flattened' } } } },
  });
});
