/** One process and the network namespace it lives in. */
export interface NetnsRow {
  /** Cookie of the namespace (SO_NETNS_COOKIE); 0 where the kernel has none. */
  readonly cookie: number;
  /** Inode of /proc/<pid>/ns/net. */
  readonly inode: number;
  /** In the initial pid namespace. */
  readonly pid: number;
  readonly comm: string;
}

/** The iterator program of bpf/netns/netns.bpf.c. */
export const netnsProgram = 'netns_list';

const rowBytes = 32;
const commAt = 16;
const text = new TextDecoder();

/** Rows that the program netns_list wrote (struct netns_row), one per process. An incomplete last row is left out. */
export function parseNetnsRows(bytes: Uint8Array): NetnsRow[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows: NetnsRow[] = [];
  for (let at = 0; at + rowBytes <= bytes.length; at += rowBytes) {
    const comm = bytes.subarray(at + commAt, at + rowBytes);
    const end = comm.indexOf(0);
    rows.push({
      cookie: view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000,
      inode: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      comm: text.decode(end < 0 ? comm : comm.subarray(0, end)),
    });
  }
  return rows;
}
