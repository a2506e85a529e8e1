// One line of progress per step, and running commands quietly.
import { spawnSync } from 'node:child_process';

/** A step that did not succeed: `output` is what the command wrote. */
export class StepFailure extends Error {
  constructor(message, output) {
    super(message);
    this.output = output || '';
  }
}

/** Seconds with one decimal: "12.3 s". */
export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Writes to stderr: stdout belongs to the program that set-up is for. */
export function say(line) {
  process.stderr.write(`set-up: ${line}\n`);
}

/** Runs `work` and tells about it in one line with its duration. */
export function step(title, work) {
  const started = Date.now();
  process.stderr.write(`set-up: ${title} ...`);
  try {
    const result = work();
    process.stderr.write(` ${seconds(Date.now() - started)}\n`);
    return result;
  } catch (thrown) {
    process.stderr.write(` failed after ${seconds(Date.now() - started)}\n`);
    throw thrown;
  }
}

/** Runs a command to its end without showing its output. Throws StepFailure when it fails. */
export function run(command, args, options) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  const output = `${result.stdout || ''}${result.stderr || ''}`;
  if (result.error) throw new StepFailure(`${command}: ${result.error.message}`, output);
  if (result.signal) throw new StepFailure(`${command} was ended by ${result.signal}`, output);
  if (result.status !== 0) throw new StepFailure(`${command} ended with exit code ${result.status}`, output);
  return output;
}

/** The last lines of an output, indented, for people. */
export function tail(output, lines) {
  const kept = output.trim().split('\n').slice(-lines);
  return kept.map((line) => `  ${line}`).join('\n');
}
