import { hostPortText } from '../../core/host-port.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';

/** "198.51.100.1:80 198.51.100.2:40000": source and destination of a record, as people write them. */
export function endsOf(record: RecordReader): string {
  return `${end(record.bytes, record.saddrAt, record.sport)} ${end(record.bytes, record.daddrAt, record.dport)}`;
}

/** The same of ends that are known. */
export function endsText(source: string, sourcePort: number, destination: string, destinationPort: number): string {
  return [hostPortText({ host: source, port: sourcePort }), hostPortText({ host: destination, port: destinationPort })].join(' ');
}

/** "SOCK OWNER CLIENT": names of a record's flags, in the order of their bits. */
export function flagsOf(record: RecordReader): string {
  const set = Object.entries(recordFlags).filter(([, bit]) => record.flags & bit);
  return set.map(([name]) => name).join(' ');
}

function end(bytes: Uint8Array, at: number, port: number): string {
  const address = Buffer.from(bytes.subarray(at, at + 16));
  const hex = address.toString('hex');
  if (hex.startsWith('00000000000000000000ffff')) return `${address.subarray(12).join('.')}:${port}`;
  return new URL(`http://[${hex.replace(/....(?!$)/g, '$&:')}]:${port}`).host.replace(/\]$/, `]:${port}`);
}
