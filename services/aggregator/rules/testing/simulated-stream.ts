import { type PipelineFiguresBody, RawMessage } from '../../../../proto/bus.ts';
import { type CollectorBody, CollectorMessage } from '../../../../proto/collect.ts';
import type { RuleSet } from '../rule.ts';
import type { RuleTest } from './rule-test.ts';
import { valueAt } from './simulated-counters.ts';
import { SimulatedNode, testUnixS } from './simulated-node.ts';
import { SimulatedPlaces } from './simulated-places.ts';
import type { CounterInputRow, InputRow } from './test-input.ts';
import { testLimits } from './test-schema.ts';

/** Messages come at the gateway this long behind their second. */
const arrivalMs = 900;
/** Any queue's capacity: its fill is what a test says. */
const capacityBytes = 1_000_000;

/** The raw messages of a test, second by second: what its nodes' collectors send, then the gateway's tick. */
export function* simulatedSeconds(test: RuleTest, rules: RuleSet): Generator<readonly Uint8Array[]> {
  const places = new SimulatedPlaces(test.document, test.input);
  const nodes = places.nodes.map((name) => new SimulatedNode(name, places, rules, test.input));
  const pipeline = test.input.filter((row): row is CounterInputRow => row.kind === 'counter' && row.target.kind === 'pipeline');
  const last = lastSecond(test, rules);
  for (let second = 0; second <= last; second++) {
    const messages: Uint8Array[] = [];
    for (const node of nodes) {
      for (const body of node.second(second)) {
        const message = rawOf(body, node, (testUnixS + second) * 1000 + arrivalMs);
        messages.push(message);
        if (test.document.repeat) messages.push(message);
      }
    }
    messages.push(tickOf(second, pipeline));
    yield messages;
  }
}

/** Long enough for everything to resolve. */
function lastSecond({ document, input }: RuleTest, { rules, signals }: RuleSet): number {
  if (document.until !== undefined) return document.until;
  const longest = Math.max(0, ...signals.map(({ windowS }) => windowS));
  const lag = Math.max(0, ...rules.map(({ forS, settleS, keepFiringForS }) => forS + settleS + keepFiringForS));
  const activity = [...input.map(endOf), ...Object.values(document.pods).flatMap(({ from = 0, to = 0 }) => [from, to])];
  const expected = document.expect.map(({ at }) => at[1] + 5);
  return Math.min(testLimits.seconds, Math.max(10, ...expected, Math.max(0, ...activity) + longest + lag + 10));
}

function endOf(row: InputRow): number {
  if (row.kind === 'silent') return row.row.to ?? row.row.from;
  const { at, from = 0, to } = row.row;
  const late = row.kind === 'record' ? Math.ceil((row.row.late ?? 0) / 1000) : 0;
  return (at ?? to ?? from) + late;
}

function rawOf(body: CollectorBody, { name: node, session }: SimulatedNode, appendedMs: number): Uint8Array {
  return RawMessage.encode({ appended: timeOf(appendedMs), node, session, message: CollectorMessage.encode(body).finish() }).finish();
}

function tickOf(second: number, rows: readonly CounterInputRow[]): Uint8Array {
  const tick = { number: second + 1, pipeline: figuresAt(second, rows) };
  return RawMessage.encode({ appended: timeOf((testUnixS + second + 1) * 1000), tick }).finish();
}

/** What the gateway's process knows of the pipeline, as the rows say it. */
function figuresAt(second: number, rows: readonly CounterInputRow[]): PipelineFiguresBody {
  const labelled = (field: string): [string, number][] => {
    const ofField = rows.filter(({ counter }) => counter.reference.field === field);
    const labelOf = ({ row }: CounterInputRow): string => Object.values(row.labels)[0] ?? '';
    return [...new Set(ofField.map(labelOf))].map((label) => [
      label,
      valueAt(
        ofField.filter((row) => labelOf(row) === label),
        second,
      ),
    ]);
  };
  const totals = (field: string) => labelled(field).map(([name, total]) => ({ name, total }));
  return {
    queues: labelled('queue_fill_ratio').map(([queue, fill]) => ({ queue, depthBytes: Math.round(fill * capacityBytes), capacityBytes })),
    deadLetters: totals('dead_letters'),
    lostEvents: totals('lost_events'),
    stateLost: labelled('state_lost').some(([, total]) => total > 0),
  };
}

function timeOf(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 };
}
