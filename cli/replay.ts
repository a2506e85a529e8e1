import { Deadline } from '../core/deadline.ts';
import { createLog, logOf } from '../core/log.ts';
import { configuredTarget, socketTarget } from '../services/collector/gateway-target.ts';
import { type ReplayResult, replayCapture } from '../services/collector/replay.ts';
import { readConfig } from './config.ts';
import { drainMs, type Left } from './drain.ts';
import { interruptedExitCode, untilInterrupted } from './interruption.ts';
import { LiveView } from './live-view.ts';
import { aggregatorStopped, startPipeline } from './pipeline.ts';
import { summaryText } from './summary.ts';
import { packageVersion } from './version.ts';

export interface ReplayCommand {
  readonly file: string;
  readonly dataDir: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly batchSize?: number;
  /** Send it to this gateway in place of a pipeline of its own: host:port. */
  readonly gateway?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `jitterscope replay --gateway`: a capture to a gateway elsewhere, until it is durable there. Resolves with the exit code. */
export async function replayTo(gateway: string, { file, batchSize, json, set = [], ...options }: ReplayCommand): Promise<number> {
  const stop = untilInterrupted();
  const config = readConfig({ ...options, set: [...set, `collector.gateway.address=${JSON.stringify(gateway)}`] });
  const target = configuredTarget(config.collector.gateway, logOf(createLog(config.log.level, config.log.format), 'replay'));
  if (target === undefined) return 1;
  const replayed = replayCapture({ file, gateway: target, version: packageVersion(), batchBytes: batchSize });
  const ended = new Promise<undefined>((resolve) => stop.addEventListener('abort', () => resolve(undefined), { once: true }));
  const result = await Promise.race([replayed, ended]);
  if (json !== true && result !== undefined) process.stdout.write(`${resultText(file, result)}, durable at ${target.address}\n`);
  return interruptedExitCode();
}

/** `jitterscope replay`: a capture through gateway, aggregator and sinks. Resolves with the exit code. */
export async function replay(command: ReplayCommand): Promise<number> {
  const stop = untilInterrupted();
  const config = readConfig(command);
  const log = createLog(config.log.level, config.log.format);
  const json = command.json === true;
  const pipeline = await startPipeline(config, command.dataDir, { ticks: false, log, signal: stop });
  const failed = pipeline.aggregator.finished.then(
    () => new Promise<never>(() => undefined),
    (thrown: unknown) => Promise.reject(aggregatorStopped(thrown)),
  );
  // It may fail while nobody waits for it.
  failed.catch(() => undefined);
  let deadline: Deadline | undefined;
  const ended = new Promise<undefined>((resolve) => {
    const end = (): void => {
      deadline = new Deadline(drainMs);
      resolve(undefined);
    };
    if (stop.aborted) end();
    else stop.addEventListener('abort', end, { once: true });
  });
  // Without an interruption everything is waited for, however slow the reader is.
  const patience = new AbortController();
  void ended.then(() => setTimeout(() => patience.abort(), drainMs / 2).unref());
  let view: LiveView | undefined;
  let waiting: Left['waiting'];
  try {
    view = command.quiet === true ? undefined : await LiveView.start(pipeline.bus, json, process.stdout, log);
    const { file, batchSize } = command;
    const replayed = replayCapture({
      file,
      gateway: socketTarget(pipeline.gatewayAddress),
      version: packageVersion(),
      batchBytes: batchSize,
    });
    const result = await Promise.race([replayed, ended, failed]);
    await Promise.race([pipeline.settled(patience.signal), failed]);
    await Promise.race([view?.finish(patience.signal), failed]);
    if (!json && result !== undefined) process.stdout.write(`${resultText(file, result)}\n`);
  } finally {
    await view?.finish(AbortSignal.abort());
    waiting = await pipeline.close(deadline ?? new Deadline(drainMs));
  }
  if (!json) process.stdout.write(summaryText(pipeline, undefined, { spooledMessages: 0, waiting }));
  return interruptedExitCode();
}

function resultText(file: string, { messages, resumedAfter }: ReplayResult): string {
  return `${messages} messages of ${file}${resumedAfter > 0 ? `, ${resumedAfter} of them replayed before` : ''}`;
}
