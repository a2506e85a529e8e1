// Ends all that a run of CI has started: whoever has the run's name in its environment, however far down it was started.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const variable = 'JITTERSCOPE_CI_RUN';
/** How long interrupted tests may take to remove what they made, ms. */
const usualGraceMs = 10_000;

/** Gives all that is started from now on the name of this run; returns it. */
export function nameRun() {
  const name = `${process.pid}-${Date.now()}`;
  process.env[variable] = name;
  return name;
}

/** Process ids, this process's aside. */
export function processesOf(run) {
  const entry = `${variable}=${run}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(entry);
      } catch {
        // It has ended, or is somebody else's.
        return false;
      }
    })
    .map(Number);
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
  }
}

/** Ends the processes of a run, by force where they do not go by themselves. Resolves with how many there were. */
export async function endProcesses(run, graceMs = usualGraceMs) {
  const all = new Set();
  const left = () => {
    const pids = processesOf(run);
    for (const pid of pids) all.add(pid);
    return pids;
  };
  signal(left(), 'SIGTERM');
  const until = Date.now() + graceMs;
  while (left().length > 0 && Date.now() < until) await sleep(100);
  // What forked meanwhile has children that were not there a moment ago.
  for (const end = Date.now() + graceMs; left().length > 0 && Date.now() < end; await sleep(50)) signal(left(), 'SIGKILL');
  return all.size;
}
