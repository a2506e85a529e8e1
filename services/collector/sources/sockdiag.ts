import type { NetnsHandle } from '../../../native/addon.ts';
import { FieldTable, type LayoutNumbers } from './field-table.ts';
import type { TakeReading } from './source.ts';

const netlinkSockDiag = 4;
/** TCPDIAG_GETSOCK: the older request, which one walk of the kernel's table answers for IPv4 and IPv6. */
const getSockets = 18;
const dumpFlags = 0x301;
const headerBytes = 16;
/** struct inet_diag_req, and where idiag_states is in it. */
const requestBytes = 60;
const statesAt = 52;
const listen = 10;
const request = listenersRequest();

/** Ports of one namespace; those with the fullest queues first. */
const maxPorts = 64;

/** Listening sockets of one port. */
interface ListeningPort {
  length: number;
  limit: number;
  listeners: number;
  fill: number;
}

/** Reads the accept queues of a namespace's listening TCP sockets, by port. */
export class SockdiagSource {
  readonly name = 'sockdiag';
  readonly #table: FieldTable;
  readonly #columns: Int32Array;

  constructor(numbers: LayoutNumbers) {
    this.#table = new FieldTable(this.name, numbers, 64);
    const fields = ['length', 'limit', 'listeners', 'fill'];
    this.#columns = Int32Array.from(fields, (field) => this.#table.indexOf(`accept_queue.${field}`));
  }

  /** @returns ports that were left out */
  read(handle: Pick<NetnsHandle, 'dump'>, take: TakeReading): number {
    const ports = new Map<number, ListeningPort>();
    parseListeners(handle.dump(netlinkSockDiag, request), ports);
    let told = [...ports];
    if (told.length > maxPorts) told = told.sort((a, b) => b[1].fill - a[1].fill || a[0] - b[0]).slice(0, maxPorts);
    for (const [port, { length, limit, listeners, fill }] of told) {
      const values = Float64Array.of(length, limit, listeners, fill);
      take({ key: String(port), labels: { port: String(port) } }, { table: this.#table, columns: this.#columns, values });
    }
    return ports.size - told.length;
  }
}

/** Adds the listening sockets of an answer (struct inet_diag_msg: idiag_rqueue is the queue's length, idiag_wqueue its limit). */
export function parseListeners(bytes: Buffer, ports: Map<number, ListeningPort>): void {
  for (let at = 0; at + headerBytes + 64 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < headerBytes + 64 || at + length > bytes.length) break;
    const message = at + headerBytes;
    if (bytes.readUInt16LE(at + 4) === getSockets && bytes[message + 1] === listen) {
      const port = bytes.readUInt16BE(message + 4);
      const queued = bytes.readUInt32LE(message + 56);
      const limit = bytes.readUInt32LE(message + 60);
      const found = ports.get(port) ?? { length: 0, limit: 0, listeners: 0, fill: 0 };
      // A backlog of n takes n + 1 connections (sk_acceptq_is_full).
      found.fill = Math.max(found.fill, queued / (limit + 1));
      found.length += queued;
      found.limit += limit;
      found.listeners++;
      ports.set(port, found);
    }
    at += (length + 3) & ~3;
  }
}

/** struct nlmsghdr and struct inet_diag_req: TCP sockets that listen. */
function listenersRequest(): Buffer {
  const bytes = Buffer.alloc(headerBytes + requestBytes);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(getSockets, 4);
  bytes.writeUInt16LE(dumpFlags, 6);
  bytes.writeUInt32LE(1 << listen, headerBytes + statesAt);
  return bytes;
}
