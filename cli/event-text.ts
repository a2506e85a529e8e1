import pc from 'picocolors';
import { printable } from './printable.ts';

interface End {
  readonly ip?: string;
  readonly port?: number;
}

/** The fields of an event that one line of a terminal shows. */
interface ShownEvent {
  readonly '@timestamp': string;
  readonly message: string;
  readonly log?: { readonly level?: string };
  readonly event?: { readonly action?: string; readonly reason?: string };
  readonly source?: End;
  readonly destination?: End;
  readonly network?: { readonly direction?: string };
  readonly process?: { readonly pid?: number; readonly name?: string };
}

const levelColours: Readonly<Record<string, (text: string) => string>> = { info: pc.cyan, warning: pc.yellow, critical: pc.red };

/** One event as one line: time, action, sentence, tuple. */
export function eventText(line: string): string {
  // All text of an event in one place: any of it may come from somebody else.
  const event = JSON.parse(line, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value)) as ShownEvent;
  const time = event['@timestamp'].slice(11, 23);
  const colour = levelColours[event.log?.level ?? 'info'] ?? pc.cyan;
  const arrow = event.network?.direction === 'ingress' ? '<-' : '->';
  const tuple = `${endText(event.source)} ${arrow} ${endText(event.destination)}`;
  const owner = event.process?.name === undefined ? '' : ` ${event.process.name}[${event.process.pid}]`;
  const reason = event.event?.reason === undefined ? '' : ` ${printable(event.event.reason)}`;
  return `${pc.dim(time)} ${colour((event.event?.action ?? '').padEnd(14))} ${event.message} ${pc.dim(`(${tuple}${reason}${owner})`)}`;
}

function endText(end: End | undefined): string {
  const ip = end?.ip ?? '?';
  return ip.includes(':') ? `[${ip}]:${end?.port ?? 0}` : `${ip}:${end?.port ?? 0}`;
}
