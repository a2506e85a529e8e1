import pc from 'picocolors';
import { printable } from '../core/printable.ts';

/** The fields of a finding that one line of a terminal shows. */
interface ShownFinding {
  readonly '@timestamp': string;
  readonly message: string;
  readonly log?: { readonly level?: string };
  readonly event?: { readonly action?: string; readonly reason?: string };
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
    return `${time} ${badge('RESOLVED', pc.green)} ${pc.bold(message)}${reasonText(event.reason)} ${rule}`;
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

/** Why it ended, where that is not that its condition did. */
function reasonText(reason: string | undefined): string {
  return reason === undefined || reason === 'CONDITION_ENDED' ? '' : pc.dim(` (${reason})`);
}
