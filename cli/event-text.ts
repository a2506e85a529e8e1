import pc from 'picocolors';
import { printable } from '../core/printable.ts';
import { findingText, isFinding } from './finding-text.ts';

interface Address {
  readonly ip?: string;
  readonly port?: number;
}

interface End extends Address {
  readonly nat?: Address;
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

/** One event as one line: time, action, sentence, tuple; a finding as what stands out. */
export function eventText(line: string): string {
  if (isFinding(line)) return findingText(line);
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

/** An end as its socket knew it, and who is behind that address. */
function endText(end: End | undefined): string {
  const behind = end?.nat === undefined ? '' : ` = ${addressText(end.nat)}`;
  return `${addressText(end)}${behind}`;
}

function addressText(address: Address | undefined): string {
  const ip = address?.ip ?? '?';
  return ip.includes(':') ? `[${ip}]:${address?.port ?? 0}` : `${ip}:${address?.port ?? 0}`;
}
