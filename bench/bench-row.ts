/** One figure of a bench, beside the reference of the same run. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same work without what is measured, in the same unit. */
  readonly reference: number;
  /** What the reference is. */
  readonly referenceName: string;
}

/** Prints rows as a table. */
export function printRows(rows: readonly BenchRow[]): void {
  for (const { name, value, unit, reference, referenceName } of rows) {
    const share = `${((100 * value) / reference).toFixed(0)} %`;
    process.stdout.write(
      `${name.padEnd(44)} ${format(value).padStart(9)} ${unit.padEnd(16)} ${share.padStart(6)} of ${format(reference)} (${referenceName})\n`,
    );
  }
}

/** Units of work per CPU-second: all threads of this process, user and kernel. */
export async function perCpuSecond(units: number, work: () => Promise<void> | void): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return units / ((user + system) / 1e6);
}

/** The middle one of an odd number of values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) / 2];
}

function format(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : value.toFixed(1);
}
