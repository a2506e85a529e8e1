import pc from 'picocolors';

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
  const event = JSON.parse(line) as ShownEvent;
  const time = event['@timestamp'].slice(11, 23);
  const colour = levelColours[event.log?.level ?? 'info'] ?? pc.cyan;
  const arrow = event.network?.direction === 'ingress' ? '<-' : '->';
  const tuple = `${endText(event.source)} ${arrow} ${endText(event.destination)}`;
  const owner = event.process?.name === undefined ? '' : ` ${event.process.name}[${event.process.pid}]`;
  const reason = event.event?.reason === undefined ? '' : ` ${event.event.reason}`;
  return `${pc.dim(time)} ${colour((event.event?.action ?? '').padEnd(14))} ${printable(event.message)} ${pc.dim(`(${tuple}${reason}${printable(owner)})`)}`;
}

function endText(end: End | undefined): string {
  const ip = end?.ip ?? '?';
  return ip.includes(':') ? `[${ip}]:${end?.port ?? 0}` : `${ip}:${end?.port ?? 0}`;
}

/** Task and namespace names are anybody's bytes: none of them may steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd');
}
