import { isIP } from 'node:net';
import { type ZodString, z } from 'zod';
import { expecting } from './config/traits.ts';

/** Where something listens or is connected to. */
export interface HostPort {
  /** A name or an address; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[::1]:port`; undefined for what is none. */
export function parseHostPort(text: string): HostPort | undefined {
  const found = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  if (found === null) return undefined;
  const [, inBrackets, plain = '', digits] = found;
  const port = Number(digits);
  if (port > 65_535 || (inBrackets !== undefined && isIP(inBrackets) !== 6)) return undefined;
  return { host: inBrackets ?? plain, port };
}

/** A setting that says where something is connected to, or listens. @param off whether `off` may stand there, too: nowhere */
export function hostPort({ off = false } = {}): ZodString {
  const address = z.string().refine((text) => (off && text === 'off') || parseHostPort(text) !== undefined);
  return expecting(address, off ? 'host:port, [IPv6]:port, or off' : 'host:port, or [IPv6]:port');
}

/** As it is written: an IPv6 address in brackets. */
export function hostPortText({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine reaches it: 127.0.0.0/8, ::1, localhost. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
