import { createLog } from '../core/log.ts';
import { replayCapture } from '../services/collector/replay.ts';
import { readConfig } from './config.ts';
import { followEvents } from './event-feed.ts';
import { LivePrinter } from './live-printer.ts';
import { startPipeline } from './pipeline.ts';
import { summaryText } from './summary.ts';
import { packageVersion } from './version.ts';

export interface ReplayCommand {
  readonly file: string;
  readonly dataDir: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly batchSize?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const drainMs = 10_000;

/** `jitterscope replay`: a capture through gateway, aggregator and sinks. Resolves with the exit code. */
export async function replay(command: ReplayCommand): Promise<number> {
  const stop = new AbortController();
  let exitCode = 0;
  process.once('SIGINT', () => {
    exitCode = 130;
    stop.abort(new Error('interrupted'));
  });
  process.once('SIGTERM', () => {
    exitCode = 143;
    stop.abort(new Error('terminated'));
  });
  const config = readConfig(command);
  const log = createLog(config.log.level);
  const pipeline = await startPipeline(config, command.dataDir, false, log);
  try {
    const printer = command.quiet === true ? undefined : new LivePrinter(command.json === true);
    const feed = new AbortController();
    const showing =
      printer === undefined
        ? Promise.resolve()
        : (async () => {
            for await (const line of followEvents(pipeline.bus, {}, feed.signal)) printer.show(line);
          })();
    const { file, batchSize } = command;
    const interrupted = new Promise<never>((_, reject) =>
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), { once: true }),
    );
    const replayed = replayCapture({ file, gatewayAddress: pipeline.gatewayAddress, version: packageVersion(), batchBytes: batchSize });
    const result = await Promise.race([replayed, interrupted]).catch((thrown: unknown) => {
      if (stop.signal.aborted) return undefined;
      throw thrown;
    });
    await pipeline.settled(stop.signal.aborted ? AbortSignal.timeout(drainMs) : stop.signal);
    feed.abort();
    await showing;
    printer?.end();
    if (command.json !== true && result !== undefined) {
      const resumed = result.resumedAfter > 0 ? `, ${result.resumedAfter} of them replayed before` : '';
      process.stdout.write(`${result.messages} messages of ${file}${resumed}\n`);
    }
  } finally {
    await pipeline.close(drainMs);
  }
  if (command.json !== true) process.stdout.write(summaryText(pipeline, undefined, 0));
  return exitCode;
}
