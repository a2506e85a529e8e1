import { readFileSync } from 'node:fs';

/** A process as it is named to people, and told from a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot: field 22 of /proc/<pid>/stat (proc_pid_stat(5)). */
  readonly startTicks: string;
  /** Arguments separated by spaces, from /proc/<pid>/cmdline. */
  readonly command: string;
}

/** A running process, or undefined when there is none with this id. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the name in parentheses, which may hold both spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    // A zombie has ended: it holds nothing any more.
    return fields[0] === 'Z' ? undefined : { pid, startTicks: fields[19], command };
  } catch {
    return undefined;
  }
}
