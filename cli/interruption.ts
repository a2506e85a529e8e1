const interruption = new AbortController();
let code = 0;

/** Aborted once a command that listens was asked to end. */
export const interrupted = interruption.signal;

/** Aborts at the first SIGINT or SIGTERM, which asks for a drain. The second one ends the process at once. */
export function untilInterrupted(): AbortSignal {
  const listen = (signal: NodeJS.Signals, exitCode: number): void => {
    process.once(signal, () => {
      process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
      code = exitCode;
      interruption.abort(new Error(`ended by ${signal}`));
    });
  };
  listen('SIGINT', 130);
  listen('SIGTERM', 143);
  return interrupted;
}

/** Exit code of a command that was interrupted: 128 + the signal's number; 0 when none was. */
export function interruptedExitCode(): number {
  return code;
}
