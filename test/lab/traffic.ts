import type { LabProcess } from './lab-process.ts';
import type { LabNetns, NetnsLab } from './netns-lab.ts';

/** Makes both ends know each other's link-layer address: a packet that waits for one is late, and still in its host's queue. */
export async function meet(lab: NetnsLab): Promise<void> {
  for (const family of ['ipv4', 'ipv6'] as const) await lab.result(lab.a, 'connect.mjs', lab.a[family], '30000', '1', lab.b[family], '81');
}

/** A server in B that reads all that comes, and says how many bytes came in each connection. */
export async function sinkServer(lab: NetnsLab, address: string, port: number, backlog = 511): Promise<LabProcess> {
  const server = lab.start(lab.b, 'sink-server.mjs', address, String(port), String(backlog));
  await server.line();
  return server;
}

/** What a client does with its connections. */
export interface StreamOptions {
  /** To send in each of them, and end it then; 0: a line at each SIGHUP, until the client is ended. */
  readonly bytes?: number;
  readonly connections?: number;
}

/** Starts a client in A, from a local port and those behind it to a port of B. It says a line for each connection it has made. */
export function stream(
  lab: NetnsLab,
  family: 'ipv4' | 'ipv6',
  localPort: number,
  port: number,
  { bytes = 0, connections = 1 }: StreamOptions = {},
): LabProcess {
  const [from, to] = [lab.a[family], lab.b[family]];
  return lab.start(lab.a, 'stream.mjs', from, String(localPort), to, String(port), String(bytes), String(connections));
}

/** What dial.mjs says of its connect(). */
export interface Dialled {
  readonly pid: number;
  readonly localPort: number;
  /** `connected`, `gave-up`, or the name of the error. */
  readonly outcome: string;
  readonly elapsedMs: number;
  /** CLOCK_MONOTONIC when it was connected, a decimal number. */
  readonly connectedNs: string;
}

/** One connect() from A, to its end. @param localPort 0: any @param how see dial.mjs */
export async function dial(lab: NetnsLab, localPort: number, address: string, port: number, ...how: string[]): Promise<Dialled> {
  return (await lab.result(lab.a, 'dial.mjs', '', String(localPort), address, String(port), ...how)) as unknown as Dialled;
}

/** Socket cookie as `ss` tells it, of the established connection with this far port; undefined: there is none. */
export function cookieBySs(lab: NetnsLab, netns: LabNetns, farPort: number): number | undefined {
  const row = lab.run(netns, 'ss', '-Htne', 'state', 'established', 'dport', '=', `:${farPort}`);
  const found = /\bsk:([0-9a-f]+)/.exec(row)?.[1];
  return found === undefined ? undefined : Number.parseInt(found, 16);
}

/** Of a listener in B: connections that wait to be accepted, and the most that may. */
export function acceptQueueBySs(lab: NetnsLab, port: number): number[] {
  const [, ...columns] = lab.run(lab.b, 'ss', '-Htln', 'sport', '=', `:${port}`).trim().split(/\s+/);
  return columns.slice(0, 2).map(Number);
}

/** How an end is addressed, IPv4 in a socket of IPv6 too, and the family that records of it tell. */
export const addressForms = [
  ['ipv4', 2],
  ['ipv6', 10],
  ['v4mapped', 2],
] as const;

type AddressForm = (typeof addressForms)[number][0];

/** The address of an end, in a form. */
export function addressIn(netns: LabNetns, form: AddressForm): string {
  return form === 'v4mapped' ? `::ffff:${netns.ipv4}` : netns[form];
}

/** Where a server listens for connections of a form. */
export function listenAddress(netns: LabNetns, form: AddressForm): string {
  return form === 'v4mapped' ? '::' : netns[form];
}

/** What is sent, and from where. */
export interface Datagrams {
  /** Default: the address of A. */
  readonly from?: string;
  readonly localPort?: number;
  readonly count?: number;
  readonly bytes?: number;
}

/** Sends datagrams from A. */
export async function udp(lab: NetnsLab, to: string, port: number, options: Datagrams = {}): Promise<void> {
  const { from = to.includes(':') ? lab.a.ipv6 : lab.a.ipv4, localPort = 4000, count = 1, bytes = 100 } = options;
  await lab.result(lab.a, 'udp.mjs', from, String(localPort), to, String(port), String(count), String(bytes));
}
