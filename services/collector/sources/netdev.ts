import { FieldTable, type LayoutNumbers } from './field-table.ts';
import { parseNumbers } from './numbers.ts';
import type { NetnsFileSource } from './source.ts';

/** A namespace may hold any number of devices; what is beyond is not read. */
const maxDevices = 2048;
const newline = 10;
const colon = 58;
const blank = 32;

/** /proc/net/dev: each device of the namespace (dev_seq_show in net/core/net-procfs.c). */
export function netdevSource(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  const table = new FieldTable('netdev', numbers, bits);
  let header = Buffer.alloc(0);
  let columns = new Int32Array(0);
  let values = new Float64Array(0);
  const learn = (bytes: Buffer): boolean => {
    const end = bytes.indexOf(newline, bytes.indexOf(newline) + 1) + 1;
    const fields = deviceFields(bytes.toString('latin1', 0, end));
    if (fields.length === 0) return false;
    header = Buffer.from(bytes.subarray(0, end));
    columns = Int32Array.from(fields, (field) => table.indexOf(field));
    values = new Float64Array(fields.length);
    return true;
  };
  return {
    name: 'netdev',
    file: 'dev',
    read(bytes, take, anew) {
      const known = header.length > 0 && header.length <= bytes.length && bytes.compare(header, 0, header.length, 0, header.length) === 0;
      if ((anew || !known) && !learn(bytes)) return false;
      let devices = 0;
      for (let at = header.length; at < bytes.length && devices < maxDevices; devices++) {
        while (bytes[at] === blank) at++;
        const nameEnd = bytes.indexOf(colon, at);
        const end = nameEnd < 0 ? -1 : parseNumbers(bytes, nameEnd + 1, values);
        if (end < 0 || bytes[end] !== newline) return false;
        const device = bytes.toString('utf8', at, nameEnd);
        take({ key: device, labels: { device } }, { table, columns, values });
        at = end + 1;
      }
      return true;
    },
  };
}

/** `Inter-| Receive | Transmit`, `face |bytes packets|bytes`: Receive.bytes, Receive.packets, Transmit.bytes. */
function deviceFields(header: string): string[] {
  const [groups = [], names = []] = header.split('\n').map((line) => line.split('|'));
  return names.slice(1).flatMap((list, i) => {
    const group = groups[i + 1]?.trim() ?? '';
    return list
      .trim()
      .split(/\s+/)
      .map((name) => `${group}.${name}`);
  });
}
