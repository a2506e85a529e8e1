import { once } from 'node:events';
import { join } from 'node:path';
import { probes } from '../bpf/registry.ts';
import type { AppError } from '../core/app-error.ts';
import { CaptureWriter } from '../core/capture.ts';
import { loadConfig } from '../core/config/load.ts';
import { ControlServer } from '../core/control.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog, limitedLog, logOf } from '../core/log.ts';
import { nativeOrUndefined } from '../native/index.ts';
import { configuredTarget, socketTarget } from '../services/collector/gateway-target.ts';
import { startCollector } from '../services/collector/main.ts';
import { announcement, roleAnnouncement, storesOf } from './announcement.ts';
import { configSchema, configSources, nodeName } from './config.ts';
import { controlMethods } from './control-methods.ts';
import { drain, drainMs, endRequests } from './drain.ts';
import { Exposition } from './exposition.ts';
import { followConfig } from './follow-config.ts';
import { interruptedExitCode, untilInterrupted } from './interruption.ts';
import { LiveView } from './live-view.ts';
import { listensOn, serveMetrics } from './metrics-server.ts';
import { aggregatorStopped, startPipeline } from './pipeline.ts';
import { pipelineMetrics } from './pipeline-metrics.ts';
import { forbiddenProbes } from './privilege.ts';
import { recordCapture } from './record-capture.ts';
import { type Role, runs } from './roles.ts';
import { shortSocketPath } from './socket-path.ts';
import { logFills, StorageRates } from './storage-rates.ts';
import { summaryText } from './summary.ts';
import { packageVersion } from './version.ts';

export interface RunOptions {
  /** Part of the pipeline to run. */
  readonly role: Role;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly dataDir: string;
  /** Stop after this long, ms. */
  readonly durationMs?: number;
  /** Copy the raw log into this file from the next keyframe on. */
  readonly record?: string;
  readonly json?: boolean;
}

/** Between two times that freed memory is given back. */
const trimIntervalMs = 30_000;

/** `jitterscope run`: all six hops in this process, until a signal or the duration ends it. Resolves with the exit code. */
export async function run(options: RunOptions): Promise<number> {
  const stop = new AbortController();
  untilInterrupted().addEventListener('abort', () => stop.abort(), { once: true });
  const sources = configSources(options);
  const loaded = loadConfig(configSchema, sources);
  const { config } = loaded;
  const log = createLog(config.log.level, config.log.format);
  const capture = options.record === undefined ? undefined : new CaptureWriter(options.record);
  const { role } = options;
  const gateway = runs(role, 'collector') ? configuredTarget(config.collector.gateway, logOf(log, 'collector')) : undefined;
  const pipeline = await startPipeline(config, options.dataDir, { role, ticks: true, log, signal: stop.signal }).catch(
    (thrown: unknown) => {
      // It waited for a cluster that does not answer.
      if (!stop.signal.aborted) throw thrown;
      return undefined;
    },
  );
  if (pipeline === undefined) return interruptedExitCode();
  const native = nativeOrUndefined();
  const collector =
    native === undefined || !runs(role, 'collector')
      ? undefined
      : await startCollector({
          native,
          probes,
          config: config.collector,
          node: nodeName(config),
          dataDir: options.dataDir,
          gateway: gateway ?? socketTarget(pipeline.gatewayAddress),
          version: packageVersion(),
          log: limitedLog(logOf(log, 'collector')),
        });
  const reloader = followConfig({ sources, loaded, log, collector, aggregator: pipeline.aggregator });
  const metrics = await serveMetrics(
    config.metrics.listen,
    new Exposition(pipelineMetrics(pipeline, collector, reloader), () => pipeline.prometheus?.families() ?? [], log),
    () => pipeline.problems(),
  ).catch(async (thrown: unknown) => {
    await drain({ pipeline, collector });
    throw thrown;
  });
  const forbidden = forbiddenProbes(collector?.probes() ?? []);
  if (forbidden !== undefined) {
    metrics?.close();
    await reloader.close();
    await drain({ pipeline, collector });
    throw forbidden;
  }
  const rates = new StorageRates(() => logFills(pipeline, collector));
  const control = await ControlServer.listen(
    shortSocketPath(join(options.dataDir, 'control.sock')),
    controlMethods(pipeline, collector, reloader, rates, limitedLog(logOf(log, 'dlq'))),
  );
  reloader.start();
  if (options.json !== true) {
    const listen = metrics === undefined ? undefined : listensOn(metrics);
    process.stdout.write(
      role === 'all'
        ? announcement(collector, storesOf(config, options.dataDir), listen)
        : roleAnnouncement(role, config, pipeline, listen),
    );
    if (role === 'collector') process.stdout.write(announcement(collector, [], undefined));
  }
  const recording = capture === undefined ? undefined : recordCapture(pipeline, capture, stop.signal);
  // A disk that fills up ends the run; its error is thrown at the end.
  recording?.catch(() => stop.abort());
  const view =
    role === 'all' ? await LiveView.start(pipeline.bus, options.json === true, process.stdout, log, pipeline.partition) : undefined;
  let failure: AppError | undefined;
  pipeline.aggregator.finished.catch((thrown: unknown) => {
    failure = aggregatorStopped(thrown);
    stop.abort();
  });

  if (options.durationMs !== undefined) setTimeout(() => stop.abort(), options.durationMs).unref();
  // Buffers of all sizes and lives leave holes in the heap of the C library, which it keeps by itself.
  const trimming = setInterval(() => native?.trimMemory(), trimIntervalMs);
  if (!stop.signal.aborted) await once(stop.signal, 'abort');
  clearInterval(trimming);

  const deadline = new Deadline(drainMs);
  metrics?.close();
  await reloader.close();
  await endRequests(control, pipeline.sinks, deadline);
  rates.close();
  const left = await drain({ pipeline, collector, view }, deadline);
  await recording;
  if (options.json !== true) process.stdout.write(summaryText(pipeline, collector, left));
  if (failure !== undefined) throw failure;
  return interruptedExitCode();
}
