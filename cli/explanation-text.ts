import pc from 'picocolors';
import { printable } from '../core/printable.ts';
import type { ExplainAnswer } from './explain.ts';

const stateColours: Readonly<Record<string, (text: string) => string>> = {
  firing: pc.red,
  pending: pc.yellow,
  refused: pc.yellow,
  idle: pc.green,
};

/** Why a rule fired or did not, for a terminal. */
export function explanationText(answer: ExplainAnswer): string {
  // Names in it may come from somebody else.
  const plain = JSON.stringify(answer, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value));
  const { explanation, from, to } = JSON.parse(plain) as ExplainAnswer;
  const { rule, entity, node, at, state, start, held, severity, anomaly, causedBy, signals, params, when, resolve, evidence } = explanation;
  const colour = stateColours[state] ?? pc.bold;
  const lines = [
    `${pc.bold(rule.id)}: ${rule.title}`,
    row('entity', entity === node || node === '' ? entity : `${entity} on ${node}`),
    row('state', [colour(state), severity, anomaly, start === null ? undefined : `since ${start}`].filter(Boolean).join(' ')),
    row('as of', at ?? 'never: nothing was evaluated yet'),
    ...(held === null ? [] : [row('last held', held)]),
    ...(causedBy.length === 0 ? [] : [row('caused by', causedBy.join(', '))]),
    pc.bold('signals'),
    ...signals.flatMap(signalLines),
    ...(params.length === 0
      ? []
      : [pc.bold('params'), ...params.map(({ name, value, from: of }) => row(name, `${value} ${pc.dim(`(${of})`)}`))]),
    pc.bold('conditions'),
    ...when.map(({ severity: level, expression, holds }) => row(level, `${truth(holds)} ${expression ?? ''}`)),
    resolve === null
      ? row('resolve', pc.dim('when none of them holds'))
      : row('resolve', `${truth(resolve.holds)} ${resolve.expression ?? ''}`),
    ...(evidence.length === 0
      ? []
      : [pc.bold('evidence'), ...evidence.map(({ text, weight, holds }) => row(signed(weight), `${truth(holds)} ${text}`))]),
    pc.dim(`  ${rule.runbook} ${rule.version}`),
    ...(from === undefined ? [] : [pc.dim(`  made from the raw log of ${from} to ${to}; what came before is not known to it`)]),
  ];
  return lines.join('\n');
}

const absences: Readonly<Record<string, (volume: number | null, least: number) => string>> = {
  BELOW_MIN_VOLUME: (volume, least) => `too little of it: ${volume}, expected at least ${least}`,
  PROBE_OFF: () => 'its probe is off',
  READ_LATE: () => 'its source is read too seldom',
};

type Signal = ExplainAnswer['explanation']['signals'][number];

function signalLines({ name, value, unit, aggregation, windowSeconds, volume, minVolume, absent, note, groups }: Signal): string[] {
  const why = absences[absent ?? '']?.(volume, minVolume) ?? 'no data in the window';
  const shown = value === null ? pc.dim(`none (${why})`) : `${pc.bold(numberText(value))}${unit === null ? '' : ` ${unit}`}`;
  const told = absent !== null && value !== null ? pc.dim(` (${why})`) : '';
  return [
    row(name, `${shown}${told} ${pc.dim(`${aggregation} over ${windowSeconds} s`)}`),
    ...(note === null ? [] : [row('', pc.yellow(note))]),
    ...groups.map((group) => row('', pc.dim(`${group.label}: ${group.value === null ? 'none' : numberText(group.value)}`))),
  ];
}

function row(name: string, text: string): string {
  return `  ${name.padEnd(14)} ${text}`;
}

function truth(holds: boolean): string {
  return holds ? pc.yellow('true ') : pc.dim('false');
}

function signed(weight: number): string {
  return weight < 0 ? String(weight) : `+${weight}`;
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(6)));
}
