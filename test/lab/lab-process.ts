import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** A program that runs in a namespace and says JSON lines. */
export interface LabProcess {
  readonly pid: number;
  /** The next line of its output, parsed. Throws with its error output when it ends before. */
  line(): Promise<Record<string, unknown>>;
  /** Resolves with the exit code. */
  ended(): Promise<number | null>;
  stop(): Promise<void>;
}

/** What a child that was just started says. */
export function labProcess(child: ChildProcess): LabProcess {
  let output = '';
  let errors = '';
  let closed = false;
  const lines: string[] = [];
  const ended = once(child, 'close').then(() => {
    closed = true;
    return child.exitCode;
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (output + text).split('\n');
    output = parts.pop() ?? '';
    lines.push(...parts);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4096);
  });
  return {
    pid: child.pid ?? 0,
    async line() {
      while (lines.length === 0 && !closed) await Promise.race([once(child.stdout as NodeJS.EventEmitter, 'data'), ended]);
      const line = lines.shift();
      if (line === undefined) throw new Error(`${child.spawnargs.join(' ')} ended without a line: ${errors.trim()}`);
      return JSON.parse(line) as Record<string, unknown>;
    },
    ended: () => ended,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
