import { resolve } from 'node:path';
import { atOnce } from '../core/pieces.ts';
import { RecordReader } from '../schema/record.ts';
import { Ends } from '../services/aggregator/end-names.ts';
import { defaultRuleSettings, loadRules, ruleSetOf } from '../services/aggregator/rules/language/load-rules.ts';
import { readRuleFile } from '../services/aggregator/rules/language/rule-file.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import { RuleEngine } from '../services/aggregator/rules/rule-engine.ts';
import { type BenchRow, perCpuSecond, printRows } from './bench-row.ts';
import { type SyntheticNode, stamp, syntheticNodes } from './synthetic-nodes.ts';

/** Workload W (design.md §4): 5,000 Pods on 20 nodes, one record in a hundred an event. */
const [nodeCount, podsPerNode, eventEvery] = [20, 250, 100];
/** Of one node in one round. */
const batchRecords = 2048;
const seconds = Number(process.env.JITTERSCOPE_BENCH_SECONDS ?? 12);
/** Before it is measured: all Pods are known, and the short windows are full. */
const warmUpSeconds = 12;
const firstNs = 1e14;

const shipped = loadRules([resolve('rules')]);

/** The shipped rules, and as many more as make up a number: a count of a probe's records each, every second one with a condition, every eighth by port. */
function rulesOf(count: number): RuleSet {
  const texts = Array.from({ length: count - shipped.rules.length }, (_, index) => {
    const probe = ['tcpreset', 'tcpretrans', 'packetloss', 'tcplife', 'tcpaccept'][index % 5];
    const condition = index % 2 === 0 ? '' : `, where: port == ${8080 + (index % 7)}.0`;
    const more = index % 8 === 7 ? ', by: port' : condition;
    return `id: more-${index}
title: More than usual
why: A bench.
entity: pod
params: { most: 1000000 }
signals:
  seen: { record: ${probe}, agg: count, window: ${10 + (index % 50)}s${more} }
when: { warning: seen > params.most }
summary: '{pod}: {seen}'
runbook: docs/runbooks/more.md
tests: []
`;
  });
  const files = texts.map((text, index) => readRuleFile(`more-${index}.yaml`, text, defaultRuleSettings));
  return ruleSetOf([
    ...shipped.rules,
    ...files.flatMap(({ rule, problems }) => rule ?? fail(problems.map(({ message }) => message).join('; '))),
  ]);
}

function fail(message: string): never {
  throw new Error(message);
}

/** Records through decoding and identity, and with an engine through its rules. */
function consume(nodes: readonly SyntheticNode[], from: number, to: number, stepNs: number, engine: RuleEngine | undefined): void {
  const reader = new RecordReader();
  const ends = new Ends();
  const roundNs = batchRecords * stepNs;
  for (let round = from; round < to; round++) {
    for (const node of nodes) {
      stamp(node, firstNs + round * roundNs, stepNs);
      const { session } = node;
      engine?.heard(session);
      reader.reset(node.records);
      for (let index = 0; reader.next(); index++) {
        const { tsNs } = reader;
        if (tsNs > session.watermarkNs) {
          session.watermarkNs = tsNs;
          if (engine?.isDue(session, tsNs)) atOnce(engine.advance(session, tsNs));
        }
        ends.find(session, reader, undefined);
        engine?.record(session, reader, ends, round * batchRecords + index, index % eventEvery === 0);
      }
    }
  }
}

/** @param recordsPerSecond of event time, of all nodes */
async function measure(rules: RuleSet | undefined, recordsPerSecond: number): Promise<number> {
  const nodes = syntheticNodes(nodeCount, podsPerNode, batchRecords);
  const stepNs = Math.round((1e9 / recordsPerSecond) * nodeCount);
  const roundsOf = (eventS: number): number => Math.ceil((recordsPerSecond * eventS) / (batchRecords * nodeCount));
  const [warm, rounds] = [roundsOf(warmUpSeconds), roundsOf(seconds)];
  const engine = rules === undefined ? undefined : new RuleEngine(rules, { cluster: 'default', partition: 0 });
  let transitions = 0;
  if (engine !== undefined) engine.onTransition = () => void transitions++;
  consume(nodes, 0, warm, stepNs, engine);
  const value = await perCpuSecond(rounds * batchRecords * nodeCount, () => consume(nodes, warm, warm + rounds, stepNs, engine));
  if (engine !== undefined) {
    const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
    process.stdout.write(`  ${rules?.rules.length} rules: ${transitions} transitions, ${memory} MiB\n`);
  }
  return value;
}

/** Twenty rules over records as fast as they go; two hundred at 300 k records a second of event time. */
export async function run(): Promise<BenchRow[]> {
  const reference = await measure(undefined, 500_000);
  const common = { unit: 'records/core-s', reference, referenceName: 'decoding and identity alone' };
  if (process.env.JITTERSCOPE_BENCH_ONLY === '20')
    return [{ name: 'rules, 20 rules, 5,000 Pods', value: await measure(rulesOf(20), 500_000), ...common }];
  return [
    { name: 'rules, 20 rules, 5,000 Pods', value: await measure(rulesOf(20), 500_000), ...common },
    { name: 'rules, 200 rules, 5,000 Pods', value: await measure(rulesOf(200), 300_000), ...common },
  ];
}

printRows(await run());
