import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../lab/eventually.ts';

/** Suspends a process, and resolves when none of its threads runs any more: SIGSTOP alone leaves them a moment. */
export async function suspend(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await eventually(`process ${pid} is suspended`, () => threadStates(pid).every((state) => state === 'T'));
}

/** The state of each thread: third field of proc_pid_stat(5). */
function threadStates(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((task) => {
    const stat = readFileSync(join(tasks, task, 'stat'), 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2)[0];
  });
}
