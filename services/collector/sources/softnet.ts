import { FieldTable, type LayoutNumbers } from './field-table.ts';
import type { TakeReading } from './source.ts';

/**
 * Columns of /proc/net/softnet_stat (softnet_seq_show in net/core/net-procfs.c); `cpu` is the number of the CPU, columns
 * without a name are always 0. Kernels print the first 9, 10 (2.6.36), 11 (3.11), 13 (5.10) or 15 (6.2) of them.
 */
const columnNames = [
  'processed',
  'dropped',
  'time_squeeze',
  ...['', '', '', '', ''],
  'cpu_collision',
  'received_rps',
  'flow_limit_count',
  'backlog_len',
  'cpu',
  'input_qlen',
  'process_qlen',
];
const cpuColumn = columnNames.indexOf('cpu');

/** Reads softnet_stat: one target per CPU that is online. */
export class SoftnetSource {
  readonly name = 'softnet';
  readonly #table: FieldTable;

  constructor(numbers: LayoutNumbers) {
    this.#table = new FieldTable(this.name, numbers, 32);
  }

  /**
   * @param online numbers of the CPUs that are online, for kernels that do not print them
   * @returns false when the text is not what was expected
   */
  read(text: string, online: readonly number[], take: TakeReading): boolean {
    const rows = text.trimEnd().split('\n');
    for (const [row, line] of rows.entries()) {
      const words = line.split(' ');
      if (words.length < 9 || !words.every((word) => /^[0-9a-f]{8}$/.test(word))) return false;
      const cpu = words[cpuColumn] === undefined ? online[row] : Number.parseInt(words[cpuColumn], 16);
      if (cpu === undefined) return false;
      // Columns beyond those that are known have no name: they are shown by their number.
      const named = words.flatMap((word, i) => {
        const field = i < columnNames.length ? columnNames[i] : `column_${i}`;
        return field === '' || field === 'cpu' || field === undefined ? [] : [{ field, value: Number.parseInt(word, 16) }];
      });
      take(
        { key: String(cpu), labels: { cpu: String(cpu) } },
        {
          table: this.#table,
          columns: Int32Array.from(named, ({ field }) => this.#table.indexOf(field)),
          values: Float64Array.from(named, ({ value }) => value),
        },
      );
    }
    return true;
  }
}

/** `0-3,8`: the format of /sys/devices/system/cpu/online. */
export function cpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}
