import pc from 'picocolors';
import type { ProbeStatus } from '../services/collector/hosted-probe.ts';
import type { ProbeIntent } from '../services/collector/probe-intent.ts';
import type { ProbeRow } from './probe-rows.ts';

export const probeStateColours: Readonly<Record<ProbeStatus['state'], (text: string) => string>> = {
  enabled: pc.green,
  degraded: pc.yellow,
  failed: pc.red,
  disabled: pc.dim,
};

const indent = ' '.repeat(9);

/** A probe for people: a line, and one for each thing that is to be said of it. */
export function probeText({ name, state, attached, problems, intent, absent, next, events }: ProbeRow): string {
  const { emitted, suppressed, lost } = events;
  const counts = `${emitted} events, ${suppressed} suppressed, ${lost} lost`;
  const lines = [
    `${probeStateColours[state](state.padEnd(8))} ${pc.bold(name)}: ${attached.join(', ') || 'nothing is attached'}; ${counts}`,
  ];
  if (intent.mode === 'listed' || intent.mode === 'unlisted') lines.push(`${indent}${scopeText(intent)}`);
  if (absent.length > 0) lines.push(`${indent}${pc.yellow('not here now:')} ${absent.join(', ')}`);
  if (next !== undefined) lines.push(`${indent}until ${new Date(next.atUnixMs).toISOString()}, then ${scopeText(next.intent)}`);
  for (const { what, reason, remedy } of problems) lines.push(`${indent}${pc.yellow(what)}: ${reason}`, `${indent}${pc.dim(remedy)}`);
  return `${lines.join('\n')}\n`;
}

function scopeText(intent: ProbeIntent): string {
  switch (intent.mode) {
    case 'off':
      return 'disabled';
    case 'all':
      return 'enabled for the whole node';
    case 'listed':
      return `enabled for ${intent.targets.join(', ')} only`;
    case 'unlisted':
      return `enabled for all but ${intent.targets.join(', ')}`;
  }
}
