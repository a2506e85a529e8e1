import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type RuleFile, readRuleFile } from './rule-file.ts';
import { problemText } from './rule-text.ts';

const example = `id: accept-queue-saturation
title: The accept queue of a listening socket is full
why: New connections wait or are dropped because the application does not accept() fast enough.
entity: pod
params: { overflow_rate: 1, fill: { default: 0.9, unit: ratio, source: our own } }
signals:
  overflows: { counter: netstat.TcpExt.ListenOverflows, agg: rate, window: 10s, unit: per_second }
  fill: { record: tcpaccept, field: accept_queue_connections / accept_queue_max_connections, where: 'reason in ["FULL", "FILLING"]', agg: max, by: port, window: 10s, unit: ratio }
  throttled: { counter: cgroup.cpu.nr_throttled, per: cgroup.cpu.nr_periods, window: 10s, absent: zero, unit: ratio }
  squeezed: { counter: softnet.time_squeeze, scope: node, window: 10s, absent: zero }
when: { warning: overflows > params.overflow_rate || fill >= params.fill, critical: overflows > 5 * params.overflow_rate }
resolve: overflows == 0 && !(fill >= 0.5)
for: 4s
keep_firing_for: 30s
caused_by: [cpu-throttled-network]
summary: "{pod}: accept queue of port {fill.by} is full, {overflows}/s connections dropped"
evidence:
  - { when: throttled > 0.25, say: "its CPU is throttled {throttled:%} of the time", weight: 0.2 }
  - { when: squeezed > 1, say: "{node} is busy", weight: 0.1 }
runbook: docs/runbooks/accept-queue-saturation.md
`;

function read(content: string): RuleFile {
  return readRuleFile('x.yaml', content, { sampleIntervalS: 2 });
}

function problemsOf(content: string): string[] {
  return read(content).problems.map(problemText);
}

test('the example of the design is a rule', () => {
  const { rule, problems } = read(example);
  expect(problems).toEqual([]);
  expect(rule).toMatchObject({
    id: 'accept-queue-saturation',
    version: expect.stringMatching(/^sha256:[0-9a-f]{16}$/),
    entity: 'pod',
    clock: 'node',
    params: [
      { name: 'overflow_rate', default: 1 },
      { name: 'fill', default: 0.9 },
    ],
    forS: 4,
    keepFiringForS: 30,
    settleS: 2,
    causedBy: ['cpu-throttled-network'],
    maxActive: 1000,
  });
  expect(rule?.signals.map(({ name, unit, signal }) => ({ name, unit, ...signal, key: '', input: signal.input.kind }))).toEqual([
    { ...common, name: 'overflows', unit: 'per_second', input: 'counter', aggregation: 'rate' },
    { ...common, name: 'fill', unit: 'ratio', input: 'record', aggregation: 'max' },
    { ...common, name: 'throttled', unit: 'ratio', input: 'counter', aggregation: 'delta', absent: 'zero' },
    { ...common, name: 'squeezed', unit: undefined, input: 'counter', aggregation: 'rate', absent: 'zero', scope: 'node' },
  ]);
  expect(rule?.when.map(({ severity }) => severity)).toEqual([3, 2]);
  // Slots: overflows, fill, throttled, squeezed, overflow_rate, fill.
  const holds = (...slots: number[]): boolean[] =>
    [...(rule?.when ?? []).map((one) => one.condition), rule?.resolve].map((one) => one?.(Float64Array.from(slots)) === true);
  expect(holds(7, 1, 0, 0, 1, 0.9)).toEqual([true, true, false]);
  expect(holds(2, Number.NaN, 0, 0, 1, 0.9)).toEqual([false, true, false]);
  expect(holds(0, 0.2, 0, 0, 1, 0.9)).toEqual([false, false, true]);
});

const common = { key: '', windowS: 10, minVolume: 0, absent: 'false', scope: 'entity' } as const;

test('what is said for people only, and the tests, do not make another rule of it', () => {
  const versionOf = (content: string): string | undefined => read(content).rule?.version;
  const version = versionOf(example);
  expect(versionOf(`# A comment\n${example}blind_spots: [Nothing.]\nfalse_positives: [None.]\ntests: []\n`)).toBe(version);
  expect(versionOf(example.replace('for: 4s', 'for: 5s'))).not.toBe(version);
  expect(versionOf(example.replace('overflow_rate: 1', 'overflow_rate: 2'))).not.toBe(version);
});

test('the same signal in other rules has the same key, another one has another', () => {
  const keyOf = (signal: string): string | undefined =>
    read(example.replace(/overflows: \{.*\}/, `overflows: ${signal}`)).rule?.signals[0].signal.key;
  const key = keyOf('{ counter: netstat.TcpExt.ListenOverflows, agg: rate, window: 10s }');
  expect(key).toBeDefined();
  expect(keyOf('{ window: 10s, unit: per_second, counter: netstat.TcpExt.ListenOverflows }')).toBe(key);
  expect(keyOf('{ counter: netstat.TcpExt.ListenOverflows, window: 12s }')).not.toBe(key);
  expect(keyOf('{ counter: netstat.TcpExt.ListenOverflows, window: 10s, scope: node }')).not.toBe(key);
});

test.each([
  ['of nodes', 'entity: node', 'silent: { counter: node.silent_seconds, window: 10s }', 'partition'],
  ['of the pipeline', 'entity: pipeline', 'silent: { counter: pipeline.queue_fill_ratio, by: queue, window: 60s }', 'partition'],
  ['of Pods', 'entity: pod', 'silent: { event: tcpreset, where: action == "reset-sent", window: 1s }', 'node'],
  ['a histogram', 'entity: pod', 'silent: { counter: tcpaccept.wait, window: 10s }', 'node'],
  ['labels', 'entity: pod', 'silent: { counter: tcpreset.sent, where: reason != "NO_SOCKET", by: reason, window: 10s }', 'node'],
  ['an ICMP type', 'entity: pod', 'silent: { counter: snmp.IcmpMsg.OutType3, window: 10s }', 'node'],
])('a rule %s is on its clock', (_, entity, signal, clock) => {
  const { rule, problems } = read(
    `id: a\ntitle: b\nwhy: c\n${entity}\nsignals: { ${signal} }\nwhen: { info: silent > 15 }\nsummary: "{entity}"\nrunbook: d\n`,
  );
  expect(problems).toEqual([]);
  expect(rule?.clock).toBe(clock);
});

/** What is replaced in the example, by what, and where which mistake is then found. */
test.each<readonly [string | RegExp, string, string]>([
  ['id: accept-queue-saturation', 'id: Accept Queue', '1:5: id: found "Accept Queue", expected an id such as accept-queue-saturation'],
  [/title: .*\n/, '', '1:1: title: found nothing, expected a text'],
  ['title:', 'titel:', '2:1: titel: there is no field titel; did you mean title?'],
  ['entity: pod', 'entity: pods', '4:9: entity: found "pods"; did you mean pod?'],
  ['entity: pod', 'entity: workload', '4:9: entity: found "workload": entities that live on several nodes come later; use pod'],
  ['overflow_rate: 1', 'overflow_rate: one', '5:26: params.overflow_rate: found "one", expected a number, or {default, unit, source}'],
  ['{ default: 0.9', '{ defualt: 0.9', '5:35: params.fill: '],
  ['overflow_rate: 1,', 'overflow_rate: 1, unused: 2,', '5:29: params.unused: nothing uses unused'],
  [
    'netstat.TcpExt.ListenOverflows',
    'netstat.ListenOverflows',
    '7:25: signals.overflows.counter: netstat has no field ListenOverflows; did you mean netstat.TcpExt.ListenOverflows?',
  ],
  [
    'netstat.TcpExt.ListenOverflows',
    'netstat.TcpExt.ListenOverflow',
    '7:25: signals.overflows.counter: netstat has no field TcpExt.ListenOverflow; did you mean netstat.TcpExt.ListenOverflows?',
  ],
  [
    'netstat.TcpExt.ListenOverflows',
    'netsat.TcpExt.ListenOverflows',
    '7:25: signals.overflows.counter: there is no source netsat; did you mean netstat?',
  ],
  [
    'netstat.TcpExt.ListenOverflows',
    'tcpreset.send',
    '7:25: signals.overflows.counter: tcpreset has no field send; did you mean tcpreset.sent?',
  ],
  ['netstat.TcpExt.ListenOverflows', 'tcpreset', '7:25: signals.overflows.counter: found tcpreset alone, expected tcpreset.<field>'],
  ['agg: rate', 'agg: average', '7:62: signals.overflows.agg: found "average", expected one of rate,'],
  [
    'agg: rate',
    'agg: p95',
    '7:62: signals.overflows.agg: found p95 of the counter netstat.TcpExt.ListenOverflows, expected one of rate, delta, sum',
  ],
  [
    'window: 10s, unit: per_second',
    'window: 10, unit: per_second',
    '7:76: signals.overflows.window: found 10, expected whole seconds such as 10s',
  ],
  [
    'window: 10s, unit: per_second',
    'window: 1500ms, unit: per_second',
    '7:76: signals.overflows.window: found "1500ms", expected whole seconds',
  ],
  [
    'window: 10s, unit: per_second',
    'window: 20m, unit: per_second',
    '7:76: signals.overflows.window: found "20m", expected whole seconds such as 10s, from 1s to 900s',
  ],
  [
    'window: 10s, unit: per_second',
    'window: 3s, unit: per_second',
    '7:76: signals.overflows.window: found 3s, expected at least 4s: the source netstat is read each 2 s',
  ],
  [
    'window: 10s, unit: per_second',
    'unit: per second, window: 10s',
    '7:74: signals.overflows.unit: found "per second", expected a unit such as per_second',
  ],
  [
    'counter: netstat',
    'k8s: restarts, counter: netstat',
    '7:16: signals.overflows.k8s: found k8s: signals from the Kubernetes API come later',
  ],
  [
    'counter: netstat',
    'record: tcpreset, counter: netstat',
    '7:3: signals.overflows: found counter and record, expected one of counter, record, event',
  ],
  ['record: tcpaccept', 'record: tcpacept', '8:19: signals.fill.record: there is no probe tcpacept; did you mean tcpaccept?'],
  ['by: port', 'by: prot', "8:148: signals.fill.by: there is no value of tcpaccept's records prot; did you mean port?"],
  ['by: port', 'by: [peer, prot]', "8:155: signals.fill.by.1: there is no value of tcpaccept's records prot; did you mean port?"],
  ['by: port', 'by: [port, port]', '8:155: signals.fill.by.1: found port twice, expected each name once'],
  ['by: port', 'by: []', '8:148: signals.fill.by: found [], expected what is grouped by: a name, or a list of up to three'],
  [
    'accept_queue_connections /',
    'accept_queue_conections /',
    "8:37: signals.fill.field: there is no value of tcpaccept's records accept_queue_conections; did you mean accept_queue_connections?",
  ],
  [
    'field: accept_queue_connections /',
    'field: accept_queue_connections >',
    '8:37: signals.fill.field: found a condition (true or false), expected a number',
  ],
  ['reason in ["FULL", "FILLING"]', 'reason == 3', '8:101: signals.fill.where: these types do not go together: string == double'],
  [
    'per: cgroup.cpu.nr_periods',
    'per: sockstat.TCP.inuse',
    '9:55: signals.throttled.per: found a gauge or histogram, expected two counters',
  ],
  [
    'per: cgroup.cpu.nr_periods',
    'agg: rate, per: cgroup.cpu.nr_periods',
    '9:55: signals.throttled.agg: found rate with per, expected none',
  ],
  ['scope: node, window', 'window', '10:24: signals.squeezed.counter: softnet is counted by node, no Pod has it; add scope: node'],
  ['squeezed: {', 'params: {', '10:3: signals.params: found params, expected another name'],
  [
    'counter: softnet.time_squeeze, scope: node',
    'counter: node.gap_items',
    '10:24: signals.squeezed.counter: found node.gap_items in a rule with entity: pod, expected entity: node',
  ],
  [/when: \{.*\}/, 'when: {}', '11:1: when: found none, expected at least one of info, warning, critical'],
  ['when: { warning', 'when: { waring', '11:9: when.waring: there is no field waring; did you mean warning?'],
  [
    'overflows > params.overflow_rate ||',
    'overflow > params.overflow_rate ||',
    '11:18: when.warning: there is no signal overflow; did you mean overflows?',
  ],
  [
    'overflows > params.overflow_rate ||',
    'overflows > params.overflow_rat ||',
    '11:37: when.warning: there is no param overflow_rat; did you mean overflow_rate?',
  ],
  ['overflows > 5', 'overflows > "5"', 'when.critical: these types do not go together: string * double'],
  ['overflows == 0', 'overflows = 0', '12:20: resolve: found `= 0 && !(fill >= 0.5`, expected the rest of a CEL expression'],
  ['overflows == 0', 'overflows != 0', '12:10: resolve: found !=, which is true without data; expected known(x) && !(x == 0)'],
  ['for: 4s', 'for: 4', '13:6: for: found 4, expected whole seconds such as 10s'],
  [
    'caused_by: [cpu-throttled-network]',
    'caused_by: cpu-throttled-network',
    '15:12: caused_by: found "cpu-throttled-network", expected a list of ids of rules',
  ],
  ['{pod}: accept', '{pot}: accept', '16:10: summary: there is no signal pot; did you mean pod?'],
  ['{fill.by}', '{overflows.by}', '16:39: summary: found {overflows.by}, but the signal overflows has no `by`'],
  ['{throttled:%}', '{throttled:percent}', '18:58: evidence.0.say: found the format percent'],
  ['{throttled:%}', '{throttled:%', '18:58: evidence.0.say: found a single {, expected a place such as {pod}'],
  ['weight: 0.2', 'weight: 2', '18:94: evidence.0.weight: found 2, expected a number from -1 to 1'],
  ['runbook:', 'tests: {}\nrunbook:', '20:8: tests: found {}, expected a list of tests'],
  ['entity: pod', 'entity: pod\nentity: node', '5:1: not valid YAML: Map keys must be unique'],
  ['evidence:', '  evidence:', 'not valid YAML'],
  [/^/, '%', 'not valid YAML'],
  [`'reason in ["FULL", "FILLING"]'`, 'reason in ["FULL"]', 'expressions with [ ] { } , or # stand in quotes'],
])('%s becomes %s: %s', (from, to, message) => {
  const content = example.replace(from, to);
  expect(content).not.toBe(example);
  const problems = problemsOf(content);
  expect(problems.join('\n')).toContain(message);
  expect(problems.every((text) => /^x\.yaml:\d+:\d+: /.test(text))).toBe(true);
});

test('no content makes it throw: pieces of an example, and other YAML', () => {
  for (let length = 0; length < example.indexOf('summary'); length += 7) expect(read(example.slice(0, length)).rule).toBeUndefined();
  for (const content of [
    '',
    'null',
    '[]',
    '3',
    'a: &a [*a]',
    '&x [*x, *x]',
    '"\\u0000"',
    '? {a: b}\n: c',
    'id: !!binary aGk=',
    `${'['.repeat(5000)}`,
  ])
    expect(problemsOf(content).length).toBeGreaterThan(0);
  const many =
    'a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n';
  expect(problemsOf(many).join()).toContain('not valid YAML');
});

test('a rule has no more signals and params than the limits allow', () => {
  const signals = Array.from({ length: 33 }, (_, index) => `  s${index}: { counter: snmp.Tcp.OutRsts, window: 10s }`).join('\n');
  const uses = Array.from({ length: 33 }, (_, index) => `s${index} > 1`).join(' && ');
  const content = `id: a\ntitle: b\nwhy: c\nentity: pod\nsignals:\n${signals}\nwhen: { info: ${uses} }\nsummary: x\nrunbook: d\n`;
  expect(problemsOf(content)).toEqual(['x.yaml:5:1: signals: found 33, expected at most 32']);
  expect(problemsOf(`${example}# ${'x'.repeat(300_000)}`).join()).toContain('expected at most 262144');
});

test.each(['accept-queue-saturation', 'connect-failures', 'node-silent'])('the shipped rule %s is read', (id) => {
  const file = new URL(`../../../../rules/${id}.yaml`, import.meta.url);
  expect(problemsOf(readFileSync(file, 'utf8'))).toEqual([]);
});
