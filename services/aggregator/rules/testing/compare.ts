import type { FindingEntity, Transition } from '../finding.ts';
import type { Severity } from '../rule.ts';
import { testUnixS } from './simulated-node.ts';
import type { Expectation } from './test-schema.ts';

const severities: Readonly<Record<Severity, string>> = { 1: 'info', 2: 'warning', 3: 'critical' };
/** Numbers are equal when they are this near, by their size. */
const tolerance = 0.01;

/** What differs between what a test expects and what was found, one line each; none: the test passes. */
export function differences(expected: readonly Expectation[], found: readonly Transition[]): string[] {
  const lines: string[] = [];
  for (let index = 0; index < Math.max(expected.length, found.length); index++) {
    const [wanted, transition] = [expected[index], found[index]];
    if (transition === undefined) lines.push(`expected ${expectationText(wanted)}, found nothing more`);
    else if (wanted === undefined) lines.push(`expected nothing more, found ${transitionText(transition)}`);
    else {
      const wrong = differencesOf(wanted, transition);
      if (wrong.length > 0)
        lines.push(`expected ${expectationText(wanted)}, found ${transitionText(transition)}`, ...wrong.map((text) => `  ${text}`));
    }
  }
  return lines;
}

function differencesOf(wanted: Expectation, found: Transition): string[] {
  const second = found.atS - testUnixS;
  const whom = [wanted.pod, wanted.netns, wanted.node].find((name) => name !== undefined);
  const checks: (readonly [what: string, wanted: unknown, found: unknown, isRight: boolean])[] = [
    ['at', wanted.at.join(' to '), second, second >= wanted.at[0] && second <= wanted.at[1]],
    ['action', wanted.action, found.action, wanted.action === found.action],
    [
      'severity',
      wanted.severity,
      severities[found.severity],
      (wanted.severity ?? severities[found.severity]) === severities[found.severity],
    ],
    ['entity', whom, entityText(found.entity), whom === undefined || whom === entityText(found.entity)],
    ['reason', wanted.reason, found.reason, wanted.reason === undefined || wanted.reason === found.reason],
    ['message', wanted.message, found.message, wanted.message === undefined || isText(wanted.message, found.message)],
    [
      'confidence',
      wanted.confidence,
      found.confidence,
      wanted.confidence === undefined || Math.abs(wanted.confidence - found.confidence) <= tolerance,
    ],
    listCheck(
      'evidence',
      wanted.evidence,
      found.evidence.map(({ text }) => text),
    ),
    listCheck('caused_by', wanted.caused_by, found.causedBy),
    listCheck(
      'peers',
      wanted.peers,
      found.peers.map(({ label }) => label),
    ),
    ...numberChecks(wanted.values ?? {}, new Map(found.values)),
    ...Object.entries(wanted.by ?? {}).map(([name, group]) => {
      const worst = new Map(found.by).get(name);
      return [`by ${name}`, group, worst, group === worst] as const;
    }),
  ];
  return checks.flatMap(([what, want, is, isRight]) => (isRight ? [] : [`${what}: expected ${shown(want)}, found ${shown(is)}`]));
}

function listCheck(
  what: string,
  wanted: readonly string[] | undefined,
  found: readonly string[],
): readonly [string, unknown, unknown, boolean] {
  const isRight = wanted === undefined || (wanted.length === found.length && wanted.every((text, index) => isText(text, found[index])));
  return [what, wanted, found, isRight];
}

function numberChecks(wanted: Readonly<Record<string, number>>, found: ReadonlyMap<string, number>) {
  return Object.entries(wanted).map(([name, value]) => {
    const is = found.get(name);
    const isRight = is !== undefined && Math.abs(is - value) <= tolerance * Math.max(Math.abs(value), 1e-9);
    return [`values ${name}`, value, is, isRight] as const;
  });
}

/** `/a pattern/`, or the text itself. */
function isText(wanted: string, found: string): boolean {
  const pattern = /^\/(.*)\/$/s.exec(wanted)?.[1];
  return pattern === undefined ? wanted === found : new RegExp(pattern).test(found);
}

function entityText({ kind, namespace, pod, name, node }: FindingEntity): string {
  if (kind === 'pod') return `${namespace}/${pod}`;
  return kind === 'netns' || kind === 'pipeline' ? name : node;
}

function expectationText({ at: [from, to], action, severity }: Expectation): string {
  return `${severity === undefined ? '' : `${severity} `}${action} at ${from === to ? from : `${from} to ${to}`}`;
}

function transitionText({ action, severity, atS, entity, message, reason }: Transition): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  return `${severities[severity]} ${action} at ${atS - testUnixS}${why} of ${entityText(entity)}: ${message}`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}
