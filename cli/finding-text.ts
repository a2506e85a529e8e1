import pc from 'picocolors';
import { printable } from '../core/printable.ts';

/** The fields of a finding that one line of a terminal shows. */
interface ShownFinding {
  readonly '@timestamp': string;
  readonly message: string;
  readonly log?: { readonly level?: string };
  readonly event?: { readonly action?: string; readonly reason?: string; readonly start?: string };
  readonly rule?: { readonly id?: string };
  readonly jitterscope?: {
    readonly evidence?: readonly { readonly text: string }[];
    readonly confidence?: number;
    readonly anomaly?: { readonly id?: string; readonly caused_by?: readonly string[] };
  };
}

type Colour = (text: string) => string;

const levelColours: Readonly<Record<string, Colour>> = { info: pc.cyan, warning: pc.yellow, critical: pc.red };

/** Whether a line of the output is a finding's; no text in it can look so, because its quotes would be escaped. */
export function isFinding(line: string): boolean {
  return line.includes('"event":{"kind":"alert"');
}

/** One step of a finding's life as one line, which is what one is to see first: severity, sentence, evidence, confidence, cause. */
export function findingText(line: string): string {
  // Any text of it may come from somebody else.
  const finding = JSON.parse(line, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value)) as ShownFinding;
  const { message, event, jitterscope } = finding;
  const time = pc.dim(finding['@timestamp'].slice(11, 23));
  const level = finding.log?.level ?? 'info';
  const rule = pc.dim(`[${finding.rule?.id ?? '?'} ${jitterscope?.anomaly?.id ?? ''}]`);
  if (event?.action === 'anomaly-resolved')
    return `${time} ${badge('RESOLVED', pc.green)} ${pc.bold(message)} ${pc.dim(lifeText(finding))} ${rule}`;
  const colour = levelColours[level] ?? pc.cyan;
  const label = badge(event?.action === 'anomaly-updated' ? `${level.toUpperCase()} (updated)` : level.toUpperCase(), colour);
  const parts = [
    ...(jitterscope?.evidence ?? []).map(({ text }) => text),
    ...(jitterscope?.anomaly?.caused_by ?? []).map((cause) => `caused by ${cause}`),
    `confidence ${(jitterscope?.confidence ?? 0).toFixed(2)}`,
  ];
  return `${time} ${label} ${pc.bold(colour(message))}; ${parts.join('; ')} ${rule}`;
}

/** Stands out without colours, too. */
function badge(text: string, colour: Colour): string {
  return pc.bold(pc.inverse(colour(`>> ${text} `)));
}

/** How long it was open, and why it ended. */
function lifeText({ '@timestamp': end, event }: ShownFinding): string {
  const seconds = Math.round((Date.parse(end) - Date.parse(event?.start ?? end)) / 1000);
  const reason = event?.reason === undefined || event.reason === 'CONDITION_ENDED' ? '' : `, ${event.reason}`;
  return `(after ${durationText(seconds)}${reason})`;
}

function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
