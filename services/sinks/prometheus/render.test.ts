import { expect, test } from 'vitest';
import { Family } from './family.ts';
import { render } from './render.ts';
import { ShownGroup } from './shown-group.ts';
import { ShownSource } from './shown-source.ts';

/** A family of type histogram with many series that have one bucket and a sum each. */
function histogramOf(series: number): Family {
  const family = new Family({ name: 'wait_seconds', type: 'histogram', unit: 'seconds', help: 'h', scale: 1e-6 });
  const source = new ShownSource('life', (_, field) => ({ family, part: field === 'sum' ? 'sum' : Number(field) }));
  const [bucket, sum] = [source.placeOf('3'), source.placeOf('sum')];
  for (let at = 0; at < series; at++) {
    const group = new ShownGroup(String(at), source, `k8s_node="node1",k8s_pod="web-${at}"`);
    group.values[bucket] = 2;
    group.values[sum] = 9;
    const buckets: number[] = [];
    buckets[3] = bucket;
    family.rows.push({ group, place: sum, buckets, isOther: false, gone: false });
  }
  return family;
}

test('the text of a large histogram is made in turns, and is the same text', async () => {
  const small = histogramOf(10);
  const large = histogramOf(5000);
  await render(small);
  let turns = 0;
  let made = false;
  const count = (): void => {
    turns++;
    if (!made) setImmediate(count);
  };
  setImmediate(count);
  await render(large);
  made = true;
  expect(turns).toBeGreaterThan(1);
  const first = small.text.map(String).join('');
  const text = large.text.map(String).join('');
  expect(text.startsWith(first)).toBe(true);
  expect(text.split('\n')).toHaveLength(5000 * 24 + 1);
});
