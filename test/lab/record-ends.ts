import type { RecordReader } from '../../schema/record.ts';

/** "198.51.100.1:80 198.51.100.2:40000": source and destination of a record, as people write them. */
export function endsOf(record: RecordReader): string {
  return `${end(record.bytes, record.saddrAt, record.sport)} ${end(record.bytes, record.daddrAt, record.dport)}`;
}

function end(bytes: Uint8Array, at: number, port: number): string {
  const address = Buffer.from(bytes.subarray(at, at + 16));
  const hex = address.toString('hex');
  if (hex.startsWith('00000000000000000000ffff')) return `${address.subarray(12).join('.')}:${port}`;
  return new URL(`http://[${hex.replace(/....(?!$)/g, '$&:')}]:${port}`).host.replace(/\]$/, `]:${port}`);
}
