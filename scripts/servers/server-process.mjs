// A server as a child process: its output goes to a file, it ends with its parent, and it is waited for.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 50;

/** The last lines of a file. */
export function lastLines(file, lines = 15) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/**
 * Starts a server and resolves when `ready()` is true, asked again and again; a rejection of it means not yet.
 * Rejects when the server ends before, or is not ready in time, with the end of its log.
 * Resolves with `{ pid, log, ended(), stop(), kill() }`.
 */
export async function startServer({ name, command, args, log, ready, env = process.env, limitMs = 120_000, stopLimitMs = 30_000 }) {
  const output = openSync(log, 'a');
  // setpriv becomes the server: the kernel ends it when this process dies, however that happens.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], { env, stdio: ['ignore', output, output] });
  closeSync(output);
  let failure;
  child.once('error', (thrown) => {
    failure = thrown;
  });
  const ended = () => failure !== undefined || child.exitCode !== null || child.signalCode !== null;
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  const exited = async () => {
    if (!ended()) await once(child, 'exit');
    process.removeListener('exit', killNow);
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await exited();
  };
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(killNow, stopLimitMs);
    await exited();
    clearTimeout(timer);
  };
  const until = Date.now() + limitMs;
  for (;;) {
    if (ended()) {
      const how = failure?.message ?? child.signalCode ?? `exit code ${child.exitCode}`;
      throw new Error(`${name} ended before it was ready (${how}):\n${lastLines(log)}`, { cause: failure });
    }
    if (await ready().catch(() => false)) break;
    if (Date.now() > until) {
      await kill();
      throw new Error(`${name} was not ready after ${limitMs / 1000} s:\n${lastLines(log)}`);
    }
    await sleep(pollMs);
  }
  return { pid: child.pid, log, ended, stop, kill };
}
