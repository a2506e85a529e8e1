import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MetricBatch, type MetricBatchBody, type MetricGroupBody } from '../../../proto/bus.ts';
import type { Family, FieldDescription } from './family.ts';
import { headerText, render, type TextFormat } from './render.ts';
import { ShownSeries } from './store.ts';

const counter = (name: string, scale = 1): FieldDescription => ({ family: { name, type: 'counter', help: 'h', scale }, part: 'value' });
const histogram = { name: 'wait_seconds', type: 'histogram', unit: 'seconds', help: 'h', scale: 1e-6 } as const;
const described: Record<string, FieldDescription> = {
  'snmp a': counter('a_total'),
  'snmp seconds': counter('used_seconds_total', 1e-6),
  'snmp now': { family: { name: 'now', type: 'gauge', help: 'h', scale: 1 }, part: 'value' },
  'snmp odd': { family: { name: 'odd', type: 'unknown', help: 'h', scale: 1 }, part: 'value' },
  'netstat a': counter('a_total'),
  'life 9/sum': { family: histogram, part: 'sum' },
};

function describe(source: string, field: string): FieldDescription | undefined {
  const bucket = /^9\/(\d+)$/.exec(field)?.[1];
  return source === 'life' && bucket !== undefined ? { family: histogram, part: Number(bucket) } : described[`${source} ${field}`];
}

type Told = { source?: string; labels?: Record<string, string>; values?: Record<string, number> } & Omit<MetricGroupBody, 'values'>;

class Shown {
  now = 0;
  #offset = 0;
  readonly series: ShownSeries;

  constructor(more: { maxSeriesPerMetric?: number } = {}) {
    this.series = new ShownSeries({ maxSeriesPerMetric: 100, endedVisibleMs: 300_000, describe, now: () => this.now, ...more });
    this.series.loading = false;
  }

  tell(groups: Told[], more: MetricBatchBody = {}, partition = 0): number | undefined {
    const layouts: { source: string; fields: string[] }[] = [];
    const bodies = groups.map(({ source = 'snmp', labels = {}, values = {}, ...rest }): MetricGroupBody => {
      const layout = layouts.push({ source, fields: Object.keys(values) }) - 1;
      const indexes = Object.keys(values).map((_, at) => at);
      return {
        layout,
        labelNames: Object.keys(labels),
        labelValues: Object.values(labels),
        indexes,
        values: Object.values(values),
        ...rest,
      };
    });
    const rawOffset = this.#offset++;
    const at = { seconds: Math.floor(Date.now() / 1000), nanos: 0 };
    return this.series.take(partition, rawOffset, MetricBatch.encode({ rawOffset, at, layouts, groups: bodies, ...more }).finish());
  }

  async lines(): Promise<string[]> {
    this.series.expire();
    return (await textOf([...this.series.families.values()])).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  }
}

async function textOf(families: readonly Family[], format: TextFormat = 'text'): Promise<string> {
  let text = '';
  for (const family of families) {
    await render(family);
    text += headerText(family.description, format) + family.text.map(String).join('');
  }
  return text;
}

test('the newest values are shown, by metric, in the unit of the metric', async () => {
  const shown = new Shown();
  shown.tell([{ labels: { pod: 'x' }, values: { a: 5, seconds: 1_500_000, now: 7, odd: -1 } }]);
  shown.tell([{ labels: { pod: 'y' }, values: { a: 6, unheard: 1 } }]);
  shown.tell([{ labels: { pod: 'x' }, values: { a: 9 } }]);
  expect(await shown.lines()).toEqual([
    'a_total{pod="x"} 9',
    'a_total{pod="y"} 6',
    'used_seconds_total{pod="x"} 1.5',
    'now{pod="x"} 7',
    'odd{pod="x"} -1',
  ]);
});

test('what is rendered is kept as long as no value changes', async () => {
  const shown = new Shown();
  shown.tell([{ values: { a: 5, now: 1 } }]);
  await shown.lines();
  const [a, now] = [shown.series.families.get('a_total')!, shown.series.families.get('now')!];
  const before = [a.text, now.text];
  shown.tell([{ values: { a: 6, now: 1 } }]);
  await shown.lines();
  expect(now.text).toBe(before[1]);
  expect(a.text).not.toBe(before[0]);
});

test('two fields of the same name are not shown twice', async () => {
  const shown = new Shown();
  shown.tell([{ values: { a: 5 } }, { source: 'netstat', values: { a: 6 } }]);
  expect(await shown.lines()).toEqual(['a_total 5']);
});

test('counters of what has ended are shown for a while, gauges are not; what comes back stays', async () => {
  const shown = new Shown();
  for (const pod of ['x', 'y']) shown.tell([{ labels: { pod }, values: { a: 5, now: 7 } }]);
  shown.tell([{ labels: { pod: 'x' }, values: { a: 6 }, ended: true }]);
  shown.tell([{ labels: { pod: 'y' }, ended: true }]);
  expect(await shown.lines()).toEqual(['a_total{pod="x"} 6', 'a_total{pod="y"} 5']);
  shown.tell([{ labels: { pod: 'y' }, values: { a: 8, now: 1 } }]);
  shown.now = 299_000;
  expect(await shown.lines()).toEqual(['a_total{pod="x"} 6', 'a_total{pod="y"} 8', 'now{pod="y"} 1']);
  shown.now = 301_000;
  expect(await shown.lines()).toEqual(['a_total{pod="y"} 8', 'now{pod="y"} 1']);
});

test('of what has ended only counters that are not 0 stay, however often it is told', async () => {
  const shown = new Shown();
  const values = { a: 0, seconds: 5e6, now: 7, odd: 0 };
  shown.tell([{ labels: { pod: 'x' }, values }]);
  expect(shown.series.series).toBe(4);
  shown.tell([{ labels: { pod: 'x' }, ended: true }]);
  shown.tell([{ labels: { pod: 'x' }, values: { a: 0, seconds: 5e6 }, ended: true }], { keyframe: true, part: 0, parts: 1 });
  expect(shown.series.series).toBe(1);
  expect(await shown.lines()).toEqual(['used_seconds_total{pod="x"} 5']);
  shown.tell([{ labels: { pod: 'x' }, values }]);
  expect(shown.series.series).toBe(4);
  expect((await shown.lines()).sort()).toEqual(['a_total{pod="x"} 0', 'now{pod="x"} 7', 'odd{pod="x"} 0', 'used_seconds_total{pod="x"} 5']);
});

test('what is gone gathers nowhere, even if nobody scrapes', () => {
  const shown = new Shown({ maxSeriesPerMetric: 10_000 });
  const family = () => shown.series.families.get('a_total')!;
  for (let pod = 0; pod < 5000; pod++) {
    shown.tell([{ labels: { pod: String(pod) }, values: { a: pod + 1 } }]);
    shown.tell([{ labels: { pod: String(pod) }, ended: true }]);
    shown.now += 300_000;
    shown.series.expire();
  }
  expect(family().own).toBe(0);
  expect(family().rows.length).toBeLessThan(1000);
});

test('what goes on under other labels is not shown twice', async () => {
  const shown = new Shown();
  shown.tell([{ labels: { pod: 'x' }, values: { a: 5 } }]);
  shown.tell([
    { labels: { pod: 'x' }, ended: true, moved: true },
    { labels: { pod: 'y' }, values: { a: 5 } },
  ]);
  expect(await shown.lines()).toEqual(['a_total{pod="y"} 5']);
});

test('a whole keyframe says where a start reads from, and ends what it does not tell; half of one does neither', async () => {
  const shown = new Shown();
  shown.tell([{ labels: { pod: 'x' }, values: { a: 5 } }]);
  const part = (n: number, pod: string) => shown.tell([{ labels: { pod }, values: { a: 7 } }], { keyframe: true, part: n, parts: 3 });
  expect([part(0, 'p'), part(1, 'q')]).toEqual([undefined, undefined]);
  shown.now = 400_000;
  expect([part(0, 'p'), part(2, 'r')], 'a part is missing').toEqual([undefined, undefined]);
  expect(await shown.lines()).toHaveLength(4);
  expect([part(0, 'p'), part(1, 'q'), part(2, 'r')]).toEqual([undefined, undefined, 5]);
  expect(await shown.lines()).toHaveLength(4);
  shown.now = 800_000;
  expect(await shown.lines()).toEqual(['a_total{pod="p"} 7', 'a_total{pod="q"} 7', 'a_total{pod="r"} 7']);
});

test('repeats and what cannot be read change nothing', async () => {
  const shown = new Shown();
  shown.tell([{ values: { a: 5 } }], { rawOffset: 9, ordinal: 3 });
  shown.tell([{ values: { a: 4 } }], { rawOffset: 9, ordinal: 3 });
  shown.tell([{ values: { a: 3 } }], { rawOffset: 8, ordinal: 7 });
  expect(shown.series.take(0, 5, Buffer.from('no message'))).toBeUndefined();
  expect(await shown.lines()).toEqual(['a_total 5']);
  expect(shown.series.counters).toMatchObject({ messages: 4, repeats: 2, undecodable: 1 });
});

test('a log2 histogram of microseconds has cumulative buckets in seconds, a sum and a count', async () => {
  const shown = new Shown();
  shown.tell([{ source: 'life', labels: { pod: 'x' }, values: { '9/0': 2, '9/20': 3, '9/21': 1, '9/sum': 3_500_000 } }]);
  const lines = await shown.lines();
  expect(lines).toHaveLength(22 + 3);
  expect(lines).toEqual(
    expect.arrayContaining([
      'wait_seconds_bucket{pod="x",le="0.000001"} 2',
      'wait_seconds_bucket{pod="x",le="0.524288"} 2',
      'wait_seconds_bucket{pod="x",le="1.048576"} 5',
      'wait_seconds_bucket{pod="x",le="2.097152"} 6',
      'wait_seconds_bucket{pod="x",le="+Inf"} 6',
      'wait_seconds_sum{pod="x"} 3.5',
      'wait_seconds_count{pod="x"} 6',
    ]),
  );
});

test('beyond the cap of a metric its series are summed up in one; it starts at 0 and rises whatever ends', async () => {
  const shown = new Shown({ maxSeriesPerMetric: 2 });
  shown.series.loading = true;
  const pods = ['p', 'q', 'r', 's'];
  shown.tell(pods.map((pod) => ({ labels: { pod }, values: { a: 100, now: 3 } })));
  shown.series.loading = false;
  const other = 'k8s_namespace="other",k8s_node="other",k8s_pod="other"';
  expect(await shown.lines()).toEqual([
    'a_total{pod="p"} 100',
    'a_total{pod="q"} 100',
    `a_total{${other}} 0`,
    'now{pod="p"} 3',
    'now{pod="q"} 3',
    `now{${other}} 6`,
  ]);
  shown.tell(pods.map((pod) => ({ labels: { pod }, values: { a: 110, now: 4 } })));
  shown.tell([{ labels: { pod: 'r' }, ended: true }]);
  expect(await shown.lines()).toEqual(expect.arrayContaining([`a_total{${other}} 20`, `now{${other}} 4`]));
  shown.now = 400_000;
  shown.tell([{ labels: { pod: 's' }, values: { a: 111, now: 5 } }]);
  expect(await shown.lines()).toEqual(expect.arrayContaining([`a_total{${other}} 21`, `now{${other}} 5`]));
  expect(shown.series.series).toBe(4);
});

test('headers of both formats', () => {
  const family = { name: 'used_seconds_total', type: 'counter', unit: 'seconds', help: 'a "b" \\ c\nd' } as const;
  expect(headerText(family, 'text')).toBe('# HELP used_seconds_total a "b" \\\\ c\\nd\n# TYPE used_seconds_total counter\n');
  expect(headerText(family, 'openmetrics')).toBe(
    '# TYPE used_seconds counter\n# UNIT used_seconds seconds\n# HELP used_seconds a \\"b\\" \\\\ c\\nd\n',
  );
  const odd = { name: 'odd', type: 'unknown', help: 'h' } as const;
  expect([headerText(odd, 'text'), headerText(odd, 'openmetrics')]).toEqual([
    '# HELP odd h\n# TYPE odd untyped\n',
    '# TYPE odd unknown\n# HELP odd h\n',
  ]);
});

test('label values of any text leave lines that parse to them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), async (values) => {
      const shown = new Shown();
      const wanted = new Set(values);
      for (const pod of wanted) shown.tell([{ labels: { pod }, values: { a: 1 } }]);
      const family = shown.series.families.get('a_total')!;
      await render(family);
      const lines = family.text.map(String).join('').split('\n').slice(0, -1);
      const parsed = lines.map((line) => {
        const escaped = /^a_total\{pod="((?:[^"\\]|\\.)*)"\} 1$/s.exec(line)?.[1];
        return escaped?.replace(/\\(.)/gs, (_, character: string) => (character === 'n' ? '\n' : character));
      });
      expect(new Set(parsed)).toEqual(wanted);
    }),
  );
});

test('a partition that goes and comes back adds nothing to other but what was counted since', async () => {
  const shown = new Shown({ maxSeriesPerMetric: 1 });
  const keyframe = { keyframe: true, part: 0, parts: 1 };
  const told = (x: number, y: number): Told[] => [
    { labels: { pod: 'x' }, values: { a: x } },
    { labels: { pod: 'y' }, values: { a: y } },
  ];
  shown.tell(told(5, 1000), keyframe);
  const other = async (): Promise<string | undefined> => (await shown.lines()).find((line) => line.includes('other'))?.split(' ')[1];
  expect(await other()).toBe('1000');
  shown.series.drop(0);
  shown.tell(told(5, 1000), keyframe);
  expect(await other()).toBe('1000');
  shown.tell(told(5, 1007));
  expect(await other()).toBe('1007');
});

test('what is part of other, is gone, and is told again adds what it counted since', async () => {
  const shown = new Shown({ maxSeriesPerMetric: 1 });
  const y = (a: number, more: object = {}): Told => ({ labels: { pod: 'y' }, values: { a, now: 3 }, ...more });
  shown.tell([{ labels: { pod: 'x' }, values: { a: 5, now: 1 } }]);
  shown.tell([y(1000)]);
  const other = async (): Promise<string[]> =>
    (await shown.lines()).filter((line) => line.includes('other')).map((line) => line.split(' ')[1]);
  expect(await other()).toEqual(['1000', '3']);
  shown.tell([{ labels: { pod: 'y' }, values: { a: 1000 }, ended: true, endedMs: 0 }]);
  shown.now = 400_000;
  expect(await other()).toEqual(['1000', '0']);
  const keyframe = { keyframe: true, part: 0, parts: 1 };
  for (const endedMs of [250_000, 390_000]) {
    shown.tell(
      [
        { labels: { pod: 'x' }, values: { a: 5, now: 1 } },
        { labels: { pod: 'y' }, values: { a: 1000 }, ended: true, endedMs },
      ],
      keyframe,
    );
    expect(await other()).toEqual(['1000', '0']);
  }
  shown.now = 800_000;
  shown.tell([y(1007)]);
  expect(await other()).toEqual(['1007', '3']);
});
