import { expect, test } from 'vitest';
import { GroupTable, maxGroups } from './group-table.ts';

/** A table of ports, all of which have the same. */
function portTable(): GroupTable {
  return new GroupTable({ count: 1, peerAt: -1 }, { weight: () => 1, clear: () => undefined });
}

function fill(table: GroupTable, from: number, to: number): void {
  for (let port = from; port < to; port++) table.rowOf(0, port);
}

function labels(table: GroupTable): string[] {
  return Array.from({ length: table.count(0) }, (_, row) => table.labels(row, 'node1').join());
}

test('an entity whose groups were forgotten begins as one that was restored then', () => {
  const table = portTable();
  fill(table, 0, maxGroups + 5);
  table.clear(0);
  const restored = portTable();
  restored.restore(table.image('node1', 0, 1));
  for (const one of [table, restored]) fill(one, 100, 100 + maxGroups + 3);
  expect(labels(table)).toEqual(labels(restored));
  expect(labels(table).slice(0, 4)).toEqual(['116', '117', '118', '103']);
});
