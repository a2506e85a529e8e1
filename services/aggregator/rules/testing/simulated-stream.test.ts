import { expect, test } from 'vitest';
import type { EventNames } from '../../../../bpf/event.ts';
import { probes } from '../../../../bpf/registry.ts';
import { RecordReader } from '../../../../schema/record.ts';
import { identityFault, TestPartition } from '../../test-stream.ts';
import { ruleSetOf } from '../language/load-rules.ts';
import { recordNamesOf } from '../language/record-names.ts';
import { type RuleFile, readRuleFile } from '../language/rule-file.ts';
import { problemText } from '../language/rule-text.ts';
import { patchedRecord, RecordSolver } from './record-solver.ts';
import { readRuleTests } from './rule-test.ts';
import { simulatedSeconds } from './simulated-stream.ts';

const rule = `
id: example
title: An example
why: For the tests of tests.
entity: pod
signals:
  overflows: { counter: netstat.TcpExt.ListenOverflows, window: 10s }
  throttled: { counter: cgroup.cpu.nr_throttled, per: cgroup.cpu.nr_periods, window: 10s }
  squeezed: { counter: softnet.time_squeeze, scope: node, window: 10s }
when: { warning: overflows > 1 && throttled > 0 && squeezed > 0 }
summary: "{pod}"
runbook: docs/runbooks/example.md
`;

function read(tests: string): RuleFile {
  return readRuleFile('example.yaml', `${rule}tests:\n${tests}`, { sampleIntervalS: 2 });
}

/** Feeds a test's messages to a partition. */
async function run(tests: string): Promise<TestPartition> {
  const file = read(tests);
  const [one] = readRuleTests(file);
  expect(file.problems.map(problemText)).toEqual([]);
  const partition = new TestPartition();
  const rules = ruleSetOf(file.rule === undefined ? [] : [file.rule]);
  for (const messages of simulatedSeconds(one, rules)) await partition.feed(...messages);
  expect(partition.refused).toEqual([]);
  expect(identityFault(partition.state)).toBeUndefined();
  return partition;
}

/** Values of all series of a source by labels. */
function seriesOf(partition: TestPartition, source: string): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  for (const node of partition.state.series.store.nodes.values()) {
    for (const contribution of node.contributions.values()) {
      if (contribution.source.source !== source) continue;
      const { fields } = contribution.source;
      const values = fields.map((field, index) => [field, contribution.total(index)] as const);
      const { labels } = contribution.place.labels ?? { labels: { names: [], values: [] } };
      const own = [...labels.values, ...contribution.own.values].join(' ');
      found[own] = Object.fromEntries(values);
    }
  }
  return found;
}

test('counters of a test become series of its Pods, containers and nodes', async () => {
  const partition = await run(`
  - name: counters
    pods: { shop/late-0: { from: 6 } }
    input:
      - { counter: netstat.TcpExt.ListenOverflows, from: 3, to: 12, per_second: 7 }
      - { counter: cgroup.cpu.nr_throttled, from: 0, per_second: 2 }
      - { counter: netdev.Receive.drop, labels: { device: eth1 }, at: 5, add: 9 }
      - { counter: sockdiag.accept_queue.fill, labels: { port: 8080 }, from: 4, value: 0.5 }
      - { counter: tcpreset.sent, labels: { reason: NO_SOCKET }, pod: shop/late-0, from: 7, to: 8, per_second: 3 }
      - { counter: tcpaccept.wait, from: 1, to: 4, per_second: 2, value: 1500 }
    until: 20
    expect: []
`);
  const node = 'node1';
  expect(seriesOf(partition, 'netstat')).toEqual({
    [`shop ${node} web-0`]: { 'TcpExt.ListenOverflows': 1070 },
    [`shop ${node} late-0`]: { 'TcpExt.ListenOverflows': 0 },
    [node]: { 'TcpExt.ListenOverflows': 1000 },
  });
  expect(seriesOf(partition, 'cgroup')[`app shop ${node} web-0`]).toEqual({ 'cpu.nr_throttled': 1042, 'cpu.nr_periods': 1000 });
  expect(seriesOf(partition, 'softnet')).toEqual({ [`${node} 0`]: { time_squeeze: 1000 } });
  expect(seriesOf(partition, 'netdev')[`shop ${node} web-0 eth1`]).toEqual({ 'Receive.drop': 1009 });
  expect(seriesOf(partition, 'sockdiag')[`shop ${node} web-0 8080`]).toEqual({ 'accept_queue.fill': 0.5 });
  const sent = probes.find(({ name }) => name === 'tcpreset')?.metrics[0].number;
  expect(seriesOf(partition, 'tcpreset')[`shop ${node} late-0 NO_SOCKET`]).toEqual({ [String(sent)]: 6 });
  const [wait] = probes.find(({ name }) => name === 'tcpaccept')?.metrics.filter(({ kind }) => kind === 'histogram') ?? [];
  expect(seriesOf(partition, 'tcpaccept')[`shop ${node} web-0`]).toMatchObject({
    [`${wait.number}/11`]: 8,
    [`${wait.number}/sum`]: 12_000,
  });
});

test('records of a test become events of their Pods, late ones behind others, with what the row says', async () => {
  const partition = await run(`
  - name: records
    input:
      - { record: tcpaccept, action: accept-queue, reason: FULL, port: 8080, far_port: 4321, peer: shop/client-0, role: server, from: 2, to: 3, every: 500ms, accept_queue_connections: 129, accept_queue_max_connections: 128, oldest_wait_us: 900000 }
      - { record: packetloss, action: packet-dropped, at: 1, late: 4s, count: 2, side: out, transport: udp, reason: NETFILTER_DROP, site: nf_hook_slow, interface: eth0, packet_type: host, length_bytes: 60, peer: 203.0.113.7, far_port: 53 }
      - { record: tcplife, action: connect-failed, at: 2, node: node2, reason: ECONNREFUSED, role: client, connect_us: 120, syn_retransmits: 0 }
      - { record: tcpretrans, variant: syn_ack, at: 2, netns: lab, reason: SYN_ACK, segments: 1 }
    until: 8
    expect: []
`);
  const lines = partition.lines.map((line) => JSON.parse(line) as Record<string, Record<string, unknown>>);
  expect(lines).toHaveLength(8);
  expect(lines[0]).toMatchObject({
    event: { action: 'accept-queue', reason: 'FULL' },
    source: { port: 8080, kubernetes: { pod: { name: 'web-0' } } },
    destination: { port: 4321, kubernetes: { pod: { name: 'client-0' } } },
    jitterscope: { role: 'server', values: { accept_queue_connections: 129, accept_queue_max_connections: 128, oldest_wait_us: 900_000 } },
  });
  const drops = lines.filter((line) => line.event.action === 'packet-dropped');
  expect(drops).toHaveLength(2);
  expect(drops[0]).toMatchObject({
    event: { reason: 'NETFILTER_DROP' },
    destination: { ip: '203.0.113.7', port: 53 },
    network: { transport: 'udp', direction: 'egress' },
    jitterscope: { values: { length_bytes: 60 }, drop: { site: 'nf_hook_slow', interface: 'eth0', packet_type: 'host' } },
  });
  expect(lines.indexOf(drops[0])).toBeGreaterThan(3);
  const failed = lines.find((line) => line.event.action === 'connect-failed');
  expect(failed).toMatchObject({
    event: { reason: 'ECONNREFUSED' },
    host: { name: 'node2' },
    jitterscope: { role: 'client', values: { connect_us: 120 } },
  });
  expect(lines.find((line) => line.event.reason === 'SYN_ACK')).toMatchObject({
    jitterscope: { netns: { name: 'lab' }, values: { segments: 1 } },
  });
});

test('what is lost, and who is silent, is so in the partition', async () => {
  const partition = await run(`
  - name: losses
    input:
      - { counter: node.gap_items, at: 3, add: 50 }
      - { counter: node.skipped_items, labels: { reason: spool_full }, at: 4, add: 20 }
      - { counter: node.kernel_lost_records, labels: { probe: tcpreset }, from: 5, to: 6, per_second: 10 }
      - { silent: node1, from: 10, to: 14 }
      - { record: tcpreset, action: reset-sent, from: 8, to: 16 }
    until: 20
    repeat: true
    expect: []
`);
  const { dispositions } = partition.state;
  expect(dispositions).toMatchObject({ gaps: 70, skipped: { spool_full: 20 }, kernelLost: { '1:ring_full': 20 }, events: 4, repeats: 4 });
});

const noNames: EventNames = { local: '', far: '', origin: '', enumName: () => undefined, symbol: () => undefined, stack: () => undefined };

test.each(probes.flatMap((probe) => [...probe.variants].map(([variant, name]) => ({ probe, variant, name }))))(
  'every number of a $name record of $probe.name is written where it is read',
  ({ probe, variant }) => {
    const solver = new RecordSolver(probe, variant);
    const { numbers } = recordNamesOf(probe);
    const solved = numbers.flatMap(({ name, read }) => {
      const patch = solver.number(name, 3);
      return patch === undefined ? [] : [{ name, patch, read }];
    });
    for (const { name, patch, read } of solved) {
      const record = new RecordReader();
      record.reset(patchedRecord({ probe: probe.number, variant }, [patch]));
      record.next();
      expect([name, read(record, noNames)]).toEqual([name, 3]);
    }
    expect(solved.map(({ name }) => name)).toContain('suppressed');
  },
);

test.each([
  ['{ counter: netstat.TcpExt.ListenOverflow, per_second: 1 }', 'netstat has no field'],
  ['{ counter: tcpreset.sent, labels: { raeson: X }, per_second: 1 }', 'did you mean reason?'],
  ['{ counter: snmp.Tcp.CurrEstab, per_second: 1 }', 'is a gauge'],
  ['{ counter: tcpreset.sent, value: 1 }', 'is a counter'],
  ['{ counter: tcpreset.sent, add: 1 }', 'expected both'],
  ['{ counter: tcpaccept.wait, per_second: 1 }', 'is a histogram'],
  ['{ counter: node.silent_seconds, value: 20 }', 'expected {silent: node1'],
  ['{ record: tcpreste, at: 1 }', 'did you mean tcpreset?'],
  ['{ record: tcpreset, at: 1 }', 'found neither action nor variant'],
  ['{ record: tcpreset, action: reset-send, at: 1 }', 'did you mean reset-sent?'],
  ['{ record: tcpreset, action: reset-sent }', 'found no time'],
  ['{ record: tcpreset, action: reset-sent, at: 1, prot: 80 }', 'did you mean port?'],
  ['{ record: tcpreset, action: reset-sent, at: 1, port: http }', 'expected a number'],
  ['{ record: tcpreset, action: reset-sent, at: 1, pod: web-0 }', 'expected a Pod such as shop/web-0'],
  ['{ record: tcpreset, action: reset-received, at: 1, reason: NO_SOCKET }', 'no reset-received record says reason: NO_SOCKET'],
  ['{ record: tcplife, action: connection-closed, at: 1, connect_us: 5 }', 'no connection-closed record says connect_us: 5'],
  ['{ silent: node1 }', 'expected a second of the test'],
  ['{ counters: 1 }', 'expected a row with counter, record or silent'],
])('%s is refused', (row, message) => {
  const file = read(`  - { name: wrong, input: [${row}], expect: [] }\n`);
  readRuleTests(file);
  expect(file.problems.map(problemText).join('\n')).toContain(message);
});
