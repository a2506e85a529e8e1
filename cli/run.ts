import { once } from 'node:events';
import { join } from 'node:path';
import pc from 'picocolors';
import { probes } from '../bpf/registry.ts';
import { messageOf } from '../core/app-error.ts';
import { CaptureWriter } from '../core/capture.ts';
import { ControlServer } from '../core/control.ts';
import { createLog, type Log } from '../core/log.ts';
import { nativeOrUndefined } from '../native/index.ts';
import { type Collector, startCollector } from '../services/collector/main.ts';
import { nodeName, readConfig } from './config.ts';
import { controlMethods } from './control-methods.ts';
import { followEvents } from './event-feed.ts';
import { LivePrinter } from './live-printer.ts';
import { serveMetrics } from './metrics-server.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';
import { pipelineMetrics } from './pipeline-metrics.ts';
import { recordCapture } from './record-capture.ts';
import { shortSocketPath } from './socket-path.ts';
import { summaryText } from './summary.ts';
import { packageVersion } from './version.ts';

export interface RunOptions {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly dataDir: string;
  /** Stop after this long, ms. */
  readonly durationMs?: number;
  /** Copy the raw log into this file from the next keyframe on. */
  readonly record?: string;
  readonly json?: boolean;
}

const drainMs = 10_000;

/** `jitterscope run`: all six hops in this process, until a signal or the duration ends it. Resolves with the exit code. */
export async function run(options: RunOptions): Promise<number> {
  const stop = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  let exitCode = 0;
  for (const [index, signal] of signals.entries()) {
    process.once(signal, () => {
      exitCode = index === 0 ? 130 : 143;
      stop.abort();
    });
  }
  const config = readConfig(options);
  const log = createLog(config.log.level);
  const capture = options.record === undefined ? undefined : new CaptureWriter(options.record);
  const pipeline = await startPipeline(config, options.dataDir, true, log);
  const native = nativeOrUndefined();
  const collector =
    native === undefined
      ? undefined
      : await startCollector({
          native,
          probes,
          config: config.collector,
          node: nodeName(config),
          dataDir: options.dataDir,
          gatewayAddress: pipeline.gatewayAddress,
          version: packageVersion(),
          log,
        });
  const metrics = await serveMetrics(
    config.metrics.listen,
    pipelineMetrics(pipeline, collector),
    () => pipeline.sinks.ready().problems,
  ).catch(async (thrown: unknown) => {
    await shutDown(pipeline, collector);
    throw thrown;
  });
  const control = await ControlServer.listen(shortSocketPath(join(options.dataDir, 'control.sock')), controlMethods(pipeline, collector));
  if (options.json !== true) announce(collector, options.dataDir, metrics === undefined ? undefined : config.metrics.listen);
  const recording = capture === undefined ? undefined : recordCapture(pipeline, capture, stop.signal);
  // A disk that fills up ends the run; its error is thrown at the end.
  recording?.catch(() => stop.abort());
  const printing = print(pipeline, options.json === true, stop.signal, log);
  pipeline.aggregator.finished.catch((thrown: unknown) => {
    log.error({ cause: messageOf(thrown) }, 'the aggregator cannot go on');
    exitCode = 1;
    stop.abort();
  });

  if (options.durationMs !== undefined) setTimeout(() => stop.abort(), options.durationMs).unref();
  const keepAlive = setInterval(() => undefined, 60_000);
  if (!stop.signal.aborted) await once(stop.signal, 'abort');
  clearInterval(keepAlive);

  metrics?.close();
  await control.close();
  const left = await shutDown(pipeline, collector, options.json === true ? undefined : printing.idle);
  await recording;
  if (options.json !== true) process.stdout.write(summaryText(pipeline, collector, left));
  return options.durationMs !== undefined && exitCode === 0 ? 0 : exitCode;
}

/** Ends in the direction of the data; returns messages that stay in the spool for the next start. */
async function shutDown(pipeline: Pipeline, collector: Collector | undefined, printed?: () => Promise<void>): Promise<number> {
  const left = (await collector?.close(drainMs / 2)) ?? 0;
  await pipeline.settled(AbortSignal.timeout(drainMs / 2));
  await printed?.();
  await pipeline.close(drainMs / 2);
  return left;
}

function announce(collector: Collector | undefined, dataDir: string, metricsListen: string | undefined): void {
  const lines: string[] = [`${pc.bold('jitterscope')} ${packageVersion()}`];
  for (const probe of collector?.probes() ?? []) {
    const colour = probe.state === 'attached' ? pc.green : probe.state === 'degraded' ? pc.yellow : pc.red;
    lines.push(`  ${colour(probe.state.padEnd(9))} ${probe.name}: ${probe.attached.join(', ') || 'nothing'}`);
    for (const problem of probe.problems)
      lines.push(`            ${pc.yellow(problem.what)}: ${problem.reason}\n            ${pc.dim(problem.remedy)}`);
  }
  if (collector === undefined)
    lines.push(`  ${pc.red('failed')}    the native addon is not built: no kernel events. \`npm run build\` says why.`);
  const identity = collector?.identityProblem();
  if (identity !== undefined) lines.push(`  ${pc.yellow('degraded')}  namespaces: ${identity}`);
  lines.push(`  events    ${join(dataDir, 'events')}/*.ndjson`);
  if (metricsListen !== undefined) lines.push(`  metrics   http://${metricsListen}/metrics`);
  if (collector?.downtime !== undefined) {
    const { fromUnixNs, toUnixNs } = collector.downtime;
    const seconds = Number(toUnixNs - fromUnixNs) / 1e9;
    const from = new Date(Number(fromUnixNs / 1_000_000n)).toISOString();
    lines.push(`  ${pc.yellow('not seen')}  ${seconds.toFixed(1)} s since ${from}: nobody listened; what happened then is not known`);
  }
  const watching = (collector?.probes() ?? []).some(({ state }) => state !== 'failed');
  const hint = watching
    ? 'Waiting for resets. To see some: npm run demo (in another terminal)'
    : 'Nothing is attached. To see what is missing: npx jitterscope doctor';
  lines.push(pc.dim(hint), '');
  process.stdout.write(lines.join('\n'));
}

function print(pipeline: Pipeline, json: boolean, signal: AbortSignal, log: Log): { idle: () => Promise<void> } {
  const printer = new LivePrinter(json);
  // The feed outlives the signal: what is drained is shown too.
  const ended = new AbortController();
  signal.addEventListener('abort', () => setTimeout(() => ended.abort(), drainMs).unref(), { once: true });
  void (async () => {
    for await (const line of followEvents(pipeline.bus, {}, ended.signal)) printer.show(line);
  })().catch((thrown: unknown) => log.debug({ cause: messageOf(thrown) }, 'the live view ended'));
  return {
    idle: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      printer.end();
      ended.abort();
    },
  };
}
