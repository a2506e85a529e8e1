// The pages of docs/reference: made from the vocabulary that the program itself uses. Needs the compiled program.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generateElasticsearch } from './gen-elasticsearch.mjs';
import { generateRulesReference } from './gen-rules-reference.mjs';
import { header, table } from './markdown.mjs';

/** Every field of an event, in the order of the document. */
function eventsPage({ eventFields, eventSchemaVersion, ecsVersion }) {
  return `${header('schema/event.ts')}
# Event fields

Version ${eventSchemaVersion} of the event document; names are those of the Elastic Common Schema ${ecsVersion} where it has one. What is
not known is not there: no nulls, no empty objects. Fields stand in this order. \`[]\` marks an array.

${table(
  ['field', 'type', 'meaning'],
  eventFields.map(({ path, type, description }) => [`\`${path}\``, type, description]),
)}
`;
}

function probeSection(probe) {
  const { name, number, summary, variants, metrics, fields, cost, blindSpots, event } = probe;
  const values = event.values ?? [];
  const parts = [
    `## ${name}\n\n${summary}. Probe number ${number} of the record; variants: ${[...variants].map(([n, text]) => `${n} ${text}`).join(', ')}.`,
    `**Cost:** ${cost}.`,
    `**What it cannot see:**\n\n${blindSpots.map((text) => `* ${text}`).join('\n')}`,
    `**Metrics**\n\n${table(
      ['metric', 'labels', 'meaning'],
      metrics.map((metric) => [`\`${metric.name}\``, labelsOf(metric), metric.help]),
    )}`,
    `**Record**\n\n${table(
      ['field', 'variants', 'unit', 'meaning'],
      fields.map((field) => [`\`${field.name}\``, field.variants.join(' '), field.unit ?? '', field.meaning]),
    )}`,
  ];
  if (values.length > 0) {
    const rows = values.map((value) => [`\`jitterscope.values.${value.name}\``, value.description]);
    parts.push(`**Values of its events**\n\n${table(['field', 'meaning'], rows)}`);
  }
  return parts.join('\n\n');
}

function labelsOf(metric) {
  return [metric.bucket?.label, metric.label?.label].filter((label) => label !== undefined).join(', ');
}

function costSection(cost) {
  if (cost === undefined) return '';
  const rows = cost.rows.map((r) => [r.load, r.cpuRatio.toFixed(3), r.throughputRatio.toFixed(3), r.must, r.rounds]);
  return `
## What the default set costs

All probes, attached and detached in turn while the same load runs (\`npm run bench -- probe-cost\`): the median of the paired
ratios of CPU time per operation, attached to detached. Seen on ${cost.date}, ${cost.machine}.

${table(['load', 'CPU per operation', 'throughput', 'must', 'pairs'], rows)}
`;
}

function probesPage(vocabulary) {
  const { probes, probeCost } = vocabulary;
  return `${header('bpf/*/probe.ts')}
# Probes

Events are for what a person would look at; everything else is a counter. Each namespace and probe has a token bucket for
events; what it withholds is counted.
${costSection(probeCost)}
${probes.map(probeSection).join('\n\n')}
`;
}

function metricRow({ name, type, unit, help }, labels) {
  return [`\`${name}\``, type, unit ?? '', labels, help];
}

const titles = ['metric', 'type', 'unit', 'labels', 'meaning'];

/** Everything on /metrics: the kernel's counters, the probes', the pipeline's own. */
function metricsPage({ knownFields, ownFields, describeMetric, probes, pipelineMetrics }) {
  const bySource = new Map();
  for (const { source, field } of knownFields()) {
    if (!bySource.has(source)) bySource.set(source, []);
    bySource.get(source).push(metricRow(describeMetric(source, field), ''));
  }
  const own = pipelineMetrics
    .getMetricsAsArray()
    .map(({ name, help, type, labelNames }) => metricRow({ name, type, help }, labelNames.join(', ')));
  const ofProbes = probes.flatMap((probe) =>
    probe.metrics.map((metric) => metricRow({ ...metric, type: metric.kind ?? 'counter' }, labelsOf(metric))),
  );
  const findings = [...ownFields()].map(({ source, field }) => metricRow(describeMetric(source, field), 'rule, severity'));
  return `${header('schema/metrics.ts, bpf/*/probe.ts and cli/pipeline-metrics.ts')}
# Metrics

On \`/metrics\`, in the text format and, where the client asks for it, as OpenMetrics. Every series of the kernel carries
\`k8s_node\`, and \`k8s_namespace\` and \`k8s_pod\` for a Pod, or \`netns\` for a network namespace that is no Pod's; those of
the node itself carry \`k8s_node\` alone. Counters are the kernel's own totals: they go on over restarts of the agent.

A field that a newer kernel prints and this list does not know is exported too, as type \`unknown\`, and its help says so.

## Probes

${table(titles, ofProbes)}

${[...bySource].map(([source, rows]) => `## ${source}\n\n${table(titles, rows)}`).join('\n\n')}

## Findings

${table(titles, findings)}

## The pipeline itself

${table(titles, own)}
`;
}

const variable = (path) => `JITTERSCOPE_${path.map((key) => key.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()).join('__')}`;

/** Every setting, by section; sections of one depth more have their own. */
function configPage({ fieldsOf, configSchema }) {
  const bySection = new Map();
  for (const field of fieldsOf(configSchema)) {
    const section = field.path.slice(0, -1).join('.');
    if (!bySection.has(section)) bySection.set(section, []);
    bySection.get(section).push(field);
  }
  const rows = (fields) =>
    fields.map(({ path, expected, default: byDefault, live, description }) => [
      `\`${path.at(-1)}\``,
      expected,
      byDefault === undefined ? '' : `\`${typeof byDefault === 'string' ? byDefault : JSON.stringify(byDefault)}\``,
      live ? 'yes' : '',
      description,
    ]);
  const sections = [...bySection].map(
    ([section, fields]) => `## ${section}\n\n${table(['setting', 'what it may be', 'default', 'live', 'meaning'], rows(fields))}`,
  );
  const example = ['sinks', 'file', 'maxFileSize'];
  return `${header('cli/config.ts and services/*/config.ts')}
# Configuration

One YAML file, \`jitterscope run --config FILE\`. Nothing has to be set. A value comes from, strongest first: \`--set path=value\`, the
environment (\`${example.join('.')}\` is \`${variable(example)}\`), the file, the default. Values of the environment and of
\`--set\` are read as YAML. A setting that does not exist is an error.

\`jitterscope config check FILE\` names every mistake with its line and column, \`config show\` says what holds and where it comes
from, and \`config schema\` prints the JSON Schema: save it, and begin the file with
\`# yaml-language-server: $schema=<its path>\` for completion in an editor.

The file's folder is watched, also where a ConfigMap is mounted (but not with \`subPath\`, which never changes). Settings that are marked
*live* take effect at once, in the running process; the others at the next start, which the log says. A file with a mistake changes
nothing. Replace the file by renaming a new one over it: of one that is written in place, half may be read.

${sections.join('\n\n')}
`;
}

/** Loads what the pages are made of from the compiled program. */
async function vocabularyOf(root) {
  const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
  const [event, metrics, registry, own, config, field] = await Promise.all(
    ['schema/event.js', 'schema/metrics.js', 'bpf/registry.js', 'cli/pipeline-metrics.js', 'cli/config.js', 'core/config/field.js'].map(
      load,
    ),
  );
  // Names alone are asked for: nothing of the pipeline is read before somebody scrapes.
  const pipelineMetrics = own.pipelineMetrics({}, { metrics: {} }, {});
  const costFile = join(root, 'bench', 'probe-cost.json');
  const probeCost = existsSync(costFile) ? JSON.parse(readFileSync(costFile, 'utf8')) : undefined;
  return { ...event, ...metrics, ...registry, ...config, ...field, pipelineMetrics, probeCost };
}

/** Path from the root → text. */
export async function generateReference(root) {
  const vocabulary = await vocabularyOf(root);
  return {
    'docs/reference/config.md': configPage(vocabulary),
    'docs/reference/events.md': eventsPage(vocabulary),
    'docs/reference/metrics.md': metricsPage(vocabulary),
    'docs/reference/probes.md': probesPage(vocabulary),
    ...(await generateRulesReference(root)),
    ...(await generateElasticsearch(root)),
  };
}
