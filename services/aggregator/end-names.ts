import type { EventNames } from '../../bpf/event.ts';
import type { RecordReader } from '../../schema/record.ts';
import { addressText } from './address-text.ts';
import type { FoundBy, Netns, NetnsId } from './identity.ts';
import { isMapped } from './line-buffer.ts';
import type { SessionState } from './session.ts';

const ambiguous = -2;

/** Who is at the two ends of a record, found at the record's own time. One instance is reused for all records. */
export class Ends implements EventNames {
  local = '';
  far = '';
  localNetns: Netns | undefined;
  localFoundBy: FoundBy = 'unknown';
  farNetns: Netns | undefined;
  farFoundBy: FoundBy = 'external';
  #session: SessionState | undefined;

  /** Looks both ends up. `localId` is what NodeIdentity.local said, negative when nobody knows. */
  find(session: SessionState, record: RecordReader, localId: NetnsId): void {
    this.#session = session;
    this.localNetns = session.identity.get(localId);
    this.localFoundBy = this.localNetns === undefined ? 'unknown' : this.localNetns.host ? 'node' : 'netns';
    this.local = this.localNetns === undefined ? addressText(record.bytes, record.saddrAt) : labelOf(this.localNetns, session.node);
    this.#findFar(session, record, localId);
    this.far = this.farNetns === undefined ? addressText(record.bytes, record.daddrAt) : labelOf(this.farNetns, session.node);
  }

  enumName(enumeration: string, value: number): string | undefined {
    return this.#session?.enums.get(enumeration)?.get(value);
  }

  #findFar(session: SessionState, record: RecordReader, localId: NetnsId): void {
    const { bytes, saddrAt, daddrAt } = record;
    if (isNodeLocal(bytes, daddrAt) || sameAddress(bytes, saddrAt, daddrAt)) {
      this.farNetns = this.localNetns;
      this.farFoundBy = 'same';
      return;
    }
    const id = session.identity.holder(record.daddr0, record.daddr1, record.daddr2, record.daddr3, record.tsNs);
    this.farNetns = session.identity.get(id);
    if (this.farNetns === undefined) this.farFoundBy = id === ambiguous ? 'ambiguous' : 'external';
    else this.farFoundBy = id === localId ? 'same' : this.farNetns.host ? 'node' : 'ip';
  }
}

/** What people call a namespace: its name, the process that lives in it, the node, or its cookie. */
export function labelOf(netns: Netns, node: string): string {
  if (netns.host) return node;
  const process = netns.processes[0];
  return netns.names[0] ?? (process === undefined ? `netns ${netns.cookie}` : `${process.comm}[${process.pid}]`);
}

/** Loopback (127.0.0.0/8, ::1) and link-local (169.254.0.0/16, fe80::/10) addresses mean something in their own namespace only. */
function isNodeLocal(bytes: Uint8Array, at: number): boolean {
  if (isMapped(bytes, at)) return bytes[at + 12] === 127 || (bytes[at + 12] === 169 && bytes[at + 13] === 254);
  if (bytes[at] === 0xfe && (bytes[at + 1] & 0xc0) === 0x80) return true;
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 15] === 1;
}

function sameAddress(bytes: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}
