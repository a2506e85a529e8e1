// The reference of rules: what each rule of rules/ says, and what rules may be made of. Needs the compiled program.
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { header, list, table } from './markdown.mjs';

const severities = ['info', 'warning', 'critical'];
const code = (text) => (text === undefined || text === '' ? '' : `\`${String(text).replace(/\s+/g, ' ').trim()}\``);

function inputOf({ counter, per, record, event, field, where, by }) {
  const parts = [
    code(counter ?? record ?? event),
    record === undefined ? '' : 'records',
    event === undefined ? '' : 'events',
    per === undefined ? '' : `per ${code(per)}`,
    field === undefined ? '' : `of ${code(field)}`,
    where === undefined ? '' : `where ${code(where)}`,
    by === undefined ? '' : `by ${[by].flat().map(code).join(' and ')}`,
  ];
  return parts.filter(Boolean).join(' ');
}

function signalRow([name, signal], { aggregation }) {
  const absent = signal.absent === 'false' ? '' : signal.absent;
  return [
    code(name),
    inputOf(signal),
    signal.per === undefined ? aggregation : 'ratio',
    `${signal.window} s`,
    signal.scope,
    absent,
    signal.unit ?? '',
  ];
}

function ruleSection(file, root) {
  const { document, rule } = file;
  const { id, title, why, entity, blind_spots: blindSpots, false_positives: falsePositives, params, when, evidence } = document;
  const timing = [`for ${document.for} s`, `settles ${document.settle} s`, `keeps firing for ${document.keep_firing_for} s`];
  const aggregations = new Map(rule.signals.map(({ name, signal }) => [name, signal]));
  const conditions = severities.filter((name) => when[name] !== undefined).map((name) => [name, code(when[name])]);
  const causes = document.caused_by.map((cause) => `[${cause}](#${cause})`).join(', ');
  const parts = [
    `## ${id}\n\n**${title}.** ${why.trim()}`,
    `Of each ${entity}; ${timing.join(', ')}${causes === '' ? '' : `; may be caused by ${causes}`}. [Runbook](../../${document.runbook}), [rule](../../${relative(root, file.file)}).`,
    blindSpots.length > 0 ? `**What it cannot see**\n\n${list(blindSpots)}` : '',
    falsePositives.length > 0 ? `**False positives**\n\n${list(falsePositives)}` : '',
    Object.keys(params).length > 0
      ? `**Thresholds**\n\n${table(
          ['param', 'default', 'unit', 'source'],
          Object.entries(params).map(([name, param]) => [code(name), param.default, param.unit ?? '', param.source ?? '']),
        )}`
      : '',
    `**Signals**\n\n${table(
      ['signal', 'of', 'aggregation', 'window', 'scope', 'without data', 'unit'],
      Object.entries(document.signals).map((entry) => signalRow(entry, aggregations.get(entry[0]))),
    )}`,
    `**Conditions**\n\n${table(
      ['', 'condition'],
      [...conditions, ['resolved', document.resolve === undefined ? 'none of the others' : code(document.resolve)]],
    )}`,
    evidence.length > 0
      ? `**Evidence**\n\n${table(
          ['when', 'it says', 'confidence'],
          evidence.map((one) => [code(one.when), one.say, one.weight > 0 ? `+${one.weight}` : one.weight]),
        )}`
      : '',
  ];
  return parts.filter(Boolean).join('\n\n');
}

function rulesPage(files, root) {
  return `${header('rules/*.yaml')}
# Rules

The rules that come with jitterscope. A threshold is changed by the configuration (\`rules.params\`), for one Pod by its annotation
\`jitterscope.io/<rule>.<param>: "5"\` (annotations of Namespaces do nothing: container runtimes know Pods only); a rule is switched off by \`rules.disabled\`. [signals.md](signals.md) lists what a rule may be made of.

${table(
  ['rule', 'of', 'finds'],
  files.map(({ document: { id, entity, title } }) => [`[${id}](#${id})`, entity, title]),
)}

${files.map((file) => ruleSection(file, root)).join('\n\n')}
`;
}

function expressionSection({ expressionOperators, expressionFunctions, expressionLimits }) {
  const functions = expressionFunctions.map(({ signature, meaning }) => [code(signature), meaning]);
  return `## Expressions

Conditions are [CEL](https://cel.dev). All numbers are doubles; a signal without data is NaN. An expression has at most
${expressionLimits.characters} characters, ${expressionLimits.nodes} operations and a depth of ${expressionLimits.depth}. In \`when\`, \`resolve\` and \`evidence\` it is made of the rule's signals
and of \`params.<name>\`; in \`where\` and \`field\` of what the lists below name.

${table(['operator', 'of'], expressionOperators)}

${table(['function', 'meaning'], functions)}`;
}

function templateSection({ formatMeanings, templateWords }) {
  const places = [
    ...Object.entries(templateWords).map(([word, { meaning }]) => [`{${word}}`, meaning]),
    ['{signal}', 'value of the signal, three digits'],
    ['{signal.by}', 'worst group of a signal with `by`; where `by` is a list, all of it'],
    ['{signal.by.peer}', 'one part of it, where `by` is a list'],
    ['{params.name}', 'value of the param'],
  ];
  return `## Sentences

\`summary\` and \`say\` have places in braces; a brace itself is doubled.

${table(
  ['place', 'stands for'],
  places.map(([place, meaning]) => [code(place), meaning]),
)}

${table(
  ['format', 'writes'],
  Object.entries(formatMeanings).map(([format, meaning]) => [code(`{signal:${format}}`), meaning]),
)}`;
}

function aggregationSection({ aggregationsOf, aggregationMeanings }) {
  const kinds = Object.keys(aggregationsOf);
  const of = (name) => kinds.filter((kind) => aggregationsOf[kind].includes(name));
  const words = {
    values: 'numbers of records (`field`)',
    records: 'records',
    counter: 'counters',
    gauge: 'gauges',
    histogram: 'histograms',
  };
  return `## Aggregations

Over a sliding window that ends with the second that is evaluated. Without \`agg\` the signal is
${kinds.map((kind) => `\`${aggregationsOf[kind][0]}\` of ${words[kind]}`).join(', ')}. \`per\` divides what two counters rose by.

${table(
  ['agg', 'of', 'meaning'],
  Object.entries(aggregationMeanings).map(([name, meaning]) => [
    code(name),
    of(name)
      .map((kind) => words[kind])
      .join(', '),
    meaning,
  ]),
)}`;
}

function counterSections({ allCounters }) {
  const bySource = new Map();
  for (const counter of allCounters()) {
    const { source } = counter.reference;
    if (!bySource.has(source)) bySource.set(source, []);
    bySource.get(source).push(counter);
  }
  return [...bySource].map(
    ([source, counters]) =>
      `### ${source}\n\n${table(
        ['counter', 'kind', 'of', 'labels', 'unit', 'meaning'],
        counters.map(({ name, reference, of, labels, unit, meaning }) => [
          code(name),
          reference.kind,
          of,
          labels.join(', '),
          unit ?? '',
          meaning,
        ]),
      )}`,
  );
}

function recordSections({ probes, recordNamesOf }) {
  return probes.map((probe) => {
    const { numbers, texts } = recordNamesOf(probe);
    const rows = [...numbers.map((one) => ['number', one]), ...texts.map((one) => ['text', one])];
    return `### record: ${probe.name}\n\n${probe.summary}.\n\n${table(
      ['name', 'type', 'meaning'],
      rows.map(([type, { name, meaning }]) => [code(name), type, meaning]),
    )}`;
  });
}

function signalsPage(vocabulary) {
  return `${header('services/aggregator/rules/language, schema/metrics.ts and bpf/*/probe.ts')}
# What a rule may be made of

${expressionSection(vocabulary)}

${templateSection(vocabulary)}

${aggregationSection(vocabulary)}

## Counters

\`counter: <name>\`, with \`where\` and \`by\` over their labels. Values are the kernel's own, in the unit that is named. Fields that hold a
number (types of ICMP messages) are counters too, as the kernel prints them: \`snmp.IcmpMsg.OutType3\`.

${counterSections(vocabulary).join('\n\n')}

## Records

\`record: <probe>\` (each record) or \`event: <probe>\` (those that became events), with \`field\` and \`where\` over their values, and
\`by\` over one of them or \`peer\`, the far end; over up to three together with a list, \`by: [peer, far_port]\`. A number that a record does not have is NaN, a text is empty.

${recordSections(vocabulary).join('\n\n')}
`;
}

/** Path from the root → text. */
export async function generateRulesReference(root) {
  const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
  const folder = 'services/aggregator/rules/language';
  const names = [
    'expression',
    'expression-functions',
    'template',
    'number-format',
    'aggregations',
    'counter-names',
    'record-names',
    'load-rules',
  ];
  const modules = await Promise.all([...names.map((name) => load(`${folder}/${name}.js`)), load('bpf/registry.js')]);
  const vocabulary = Object.assign({}, ...modules);
  const files = vocabulary.readRules([join(root, 'rules')], { sampleIntervalS: 2 });
  const wrong = files.flatMap(({ problems }) => problems);
  if (wrong.length > 0) throw new Error(`gen: rules/ has mistakes, see \`jitterscope rules check\`: ${JSON.stringify(wrong[0])}`);
  return {
    'docs/reference/rules.md': rulesPage(files, root),
    'docs/reference/signals.md': signalsPage(vocabulary),
  };
}
