import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { probes } from '../bpf/registry.ts';
import type { Pipeline } from '../cli/pipeline.ts';
import { pipelineMetrics } from '../cli/pipeline-metrics.ts';
import { describeMetric, knownFields, ownFields } from '../schema/metrics.ts';
import { temporaryFolder } from './support/data-folder.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const dashboard = 'deploy/grafana/jitterscope-pipeline.json';
const alerts = 'deploy/prometheus/alerts.yaml';

/** All that /metrics may show. Nothing is read. */
const own = pipelineMetrics({} as Pipeline, undefined, {} as Parameters<typeof pipelineMetrics>[2]).getMetricsAsArray();
const catalogue = new Set([
  ...own.map(({ name }) => name),
  ...probes.flatMap(({ metrics }) => metrics.map(({ name }) => name)),
  ...[...knownFields(), ...ownFields()].map(({ source, field }) => describeMetric(source, field).name),
]);

function isKnown(name: string): boolean {
  return catalogue.has(name) || catalogue.has(name.replace(/_(bucket|count|sum)$/, ''));
}

function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\bjitterscope_[a-z0-9_]+/g) ?? [])];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const panels = (JSON.parse(readFileSync(join(root, dashboard), 'utf8')) as { panels: Panel[] }).panels;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const { groups } = parse(readFileSync(join(root, alerts), 'utf8')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

test.each([dashboard, alerts, 'deploy/prometheus/alerts-test.yaml'])(
  '%s: every metric that it names is one that /metrics may show',
  (file) => {
    const named = metricsIn(readFileSync(join(root, file), 'utf8'));
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !isKnown(name))).toEqual([]);
  },
);

test('every metric that a document names is one that /metrics may show', () => {
  const documents = ['README.md', 'CONTRIBUTING.md', 'deploy/README.md'].concat(
    ['docs', 'docs/runbooks'].flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name))),
  );
  const named = documents
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => metricsIn(readFileSync(join(root, name), 'utf8')).map((metric) => `${name}: ${metric}`));
  expect(named.length).toBeGreaterThan(5);
  // A name that ends with _ stands for all that begin so.
  const isToldBy = (metric: string): boolean =>
    metric.endsWith('_') ? [...catalogue].some((name) => name.startsWith(metric)) : isKnown(metric);
  expect(named.filter((line) => !isToldBy(line.split(': ')[1]))).toEqual([]);
});

test('every metric of the pipeline that tells of a loss, a queue or a failure is on the dashboard or in an alert', () => {
  const shown = new Set(metricsIn(readFileSync(join(root, dashboard), 'utf8') + readFileSync(join(root, alerts), 'utf8')));
  const telling = own.map(({ name }) => name).filter((name) => /lost|skipped|dropped|depth|capacity|lag_messages|dead_letters/.test(name));
  expect(telling.length).toBeGreaterThan(8);
  // Both tell the same of the bus in another unit, or per partition what the dropped items tell.
  const elsewhere = [
    'jitterscope_bus_capacity_bytes',
    'jitterscope_bus_lost_bytes_total',
    'jitterscope_aggregator_kernel_lost_records_total',
  ];
  expect(telling.filter((name) => !shown.has(name) && !elsewhere.includes(name))).toEqual([]);
});

test('panels of the dashboard have queries, and none lies over another', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { type, title, targets = [] } of panels) expect(`${title}: ${targets.length}`).toMatch(type === 'row' ? /: 0$/ : /: [1-9]/);
  for (const [i, { title, gridPos: a }] of panels.entries()) {
    expect(a.x + a.w).toBeLessThanOrEqual(24);
    const over = panels.slice(i + 1).filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h);
    expect(`${title}: ${over.map((panel) => panel.title)}`).toBe(`${title}: `);
  }
});

test('metrics are named as Prometheus has it: counters end in _total, units are base units, help is there', () => {
  for (const metric of own as unknown as { name: string; help: string; type: string }[]) {
    const { name, help, type } = metric;
    expect(name).toMatch(/^jitterscope_[a-z][a-z0-9_]*[a-z0-9]$/);
    expect(`${name} ${type}`).toMatch(type === 'counter' ? /_total counter$/ : /(?<!_total) (gauge|histogram)$/);
    expect(`${name} ${help}`).toMatch(/ \S/);
    expect(name).not.toMatch(/_(ms|milliseconds|us|ns|kib|mib|percent)(_|$)/);
  }
});

test('every alert has a severity, says what is wrong and what to do, and has a test', () => {
  const tested = readFileSync(join(root, 'deploy/prometheus/alerts-test.yaml'), 'utf8');
  for (const { alert, labels, annotations } of rules) {
    expect(['warning', 'critical']).toContain(labels.severity);
    expect(Object.keys(annotations)).toEqual(['summary', 'description']);
    // Once where all is well, once where it is not.
    expect([...tested.matchAll(new RegExp(`alertname: ${alert}\\b`, 'g'))].length, alert).toBeGreaterThanOrEqual(2);
  }
});

const promtool = spawnSync('promtool', ['--version']).error === undefined;

test.skipIf(!promtool)('promtool finds no fault with the alerts, and each fires when it should', () => {
  const run = (...args: string[]) => spawnSync('promtool', args, { cwd: join(root, 'deploy/prometheus'), encoding: 'utf8' });
  for (const args of [
    ['check', 'rules', 'alerts.yaml'],
    ['test', 'rules', 'alerts-test.yaml'],
  ]) {
    const { status, stdout, stderr } = run(...args);
    expect(`${stdout}${stderr}`).toContain('SUCCESS');
    expect(status, `${stdout}${stderr}`).toBe(0);
  }
});

/** Series of processes on one Kafka, all of which tell what is on it, and of a node with a bus of its own. */
function toldBySeveral(): { readonly series: string; readonly values: string }[] {
  const told = (instance: string, bus: string, perMinute: number) => {
    const where = `job="${instance.slice(0, -1)}",instance="${instance}"`;
    const constant = (value: number) => `${value}x20`;
    const growing = `0+${perMinute}x20`;
    return [
      [`jitterscope_bus_info{${where},bus="${bus}"}`, constant(1)],
      [`jitterscope_queue_depth_bytes{${where},queue="gateway/${instance}",partition="0"}`, constant(1)],
      [`jitterscope_queue_depth_bytes{${where},queue="gateway/${instance}",partition="1"}`, constant(1)],
      [`jitterscope_queue_depth_bytes{${where},queue="spool"}`, constant(5)],
      [`jitterscope_dead_letters_total{${where},stage="prometheus"}`, growing],
      ...['0', '1'].flatMap((partition) => [
        [`jitterscope_queue_depth_bytes{${where},queue="raw",partition="${partition}"}`, constant(10)],
        [`jitterscope_group_lag_messages{${where},group="sink-loki",partition="${partition}"}`, constant(100)],
        [`jitterscope_bus_bytes{${where},topic="raw",partition="${partition}"}`, constant(1_000)],
        [`jitterscope_bus_messages_total{${where},topic="raw",partition="${partition}"}`, growing],
        [`jitterscope_dead_letters_total{${where},stage="loki",partition="${partition}"}`, growing],
      ]),
    ].map(([series, values]) => ({ series: series ?? '', values: values ?? '' }));
  };
  return [...told('gateway1', 'kafka', 6), ...told('gateway2', 'kafka', 6), ...told('sinks1', 'kafka', 6), ...told('node1', 'own', 60)];
}

test.skipIf(!promtool)('what several processes tell of one bus is once in the sums of the dashboard', () => {
  // Two partitions of either bus.
  const expected: Readonly<Record<string, readonly (readonly [labels: string, value: number])[]>> = {
    'Dead letters in this range': [['{}', 10 * (2 * 6 + 2 * 60 + 3 * 6 + 60)]],
    'Bytes in queues': [
      ...['gateway1', 'gateway2', 'node1', 'sinks1'].map((name) => [`{queue="gateway/${name}"}`, 1] as const),
      ['{queue="raw"}', 40],
      ['{queue="spool"}', 20],
    ],
    Lag: [['{group="sink-loki"}', 400]],
    'Logs on disk': [['{topic="raw"}', 4_000]],
    Written: [['{topic="raw"}', (2 * 6 + 2 * 60) / 60]],
    'Dead letters': [
      ['{stage="loki"}', 10 * (2 * 6 + 2 * 60)],
      ['{stage="prometheus"}', 10 * (3 * 6 + 60)],
    ],
  };
  const queries = Object.entries(expected).map(([title, samples]) => {
    const { targets = [] } = panels.find((panel) => panel.title === title) ?? {};
    const { expr = '' } = targets.find(({ expr }) => /dead_letters|queue_depth|lag_messages|bus_bytes|bus_messages/.test(expr)) ?? {};
    return {
      expr: expr.replace(/\$__(rate_interval|range)/g, '10m').replace(/\$(job|instance)/g, '.*'),
      eval_time: '15m',
      exp_samples: samples.map(([labels, value]) => ({ labels, value })),
    };
  });
  const folder = temporaryFolder();
  try {
    const file = join(folder.path, 'dashboard-test.yaml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ tests: [{ interval: '1m', input_series: toldBySeveral(), promql_expr_test: queries }] }));
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    expect(status, `${stdout}${stderr}`).toBe(0);
  } finally {
    folder.remove();
  }
});

test('documents name no metric that there is not', () => {
  const documents = ['README.md', 'docs', 'docs/runbooks', 'deploy'].flatMap((path) =>
    path.endsWith('.md')
      ? [path]
      : readdirSync(join(root, path))
          .filter((name) => name.endsWith('.md'))
          .map((name) => `${path}/${name}`),
  );
  const unknown = documents.flatMap((file) =>
    metricsIn(readFileSync(join(root, file), 'utf8'))
      .filter((name) => !name.endsWith('_') && !isKnown(name))
      .map((name) => `${file}: ${name}`),
  );
  expect(unknown).toEqual([]);
});

test('every warning and error of the log carries a code, or an error that has one', () => {
  const files = ['core', 'services', 'cli'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  );
  const calls = files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/\blog\.(?:warn|error)\(\s*(\{[\s\S]*?\})/g)].map((match) => ({
        file,
        fields: match[1] ?? '',
      })),
    );
  expect(calls.length).toBeGreaterThan(30);
  expect(calls.filter(({ fields }) => !/\b(code|err)\b|\.\.\.(where|fields)/.test(fields))).toEqual([]);
});
