import { createHash } from 'node:crypto';
import { readFileSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { parseNetnsRows } from '../../bpf/netns/rows.ts';
import type { Probe } from '../../bpf/probe.ts';
import { bucketKey, probeMaps } from '../../bpf/settings.ts';
import { messageOf } from '../../core/app-error.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import type { BpfObject, Native } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import type { CollectorBody } from '../../proto/collect.ts';
import { Batcher, type SealedBatch } from './batcher.ts';
import { Clock } from './clock.ts';
import type { CollectorConfig } from './config.ts';
import { CounterTotals, deleteCounters, readCounters, readUncounted } from './counters.ts';
import { type Downtime, LifeSigns } from './downtime.ts';
import { NodeNamespaces } from './identity/node-namespaces.ts';
import { NetnsTracker } from './identity/tracker.ts';
import { enumNames, keyframeParts } from './keyframe.ts';
import { type CollectorMetrics, emptyCollectorMetrics } from './metrics.ts';
import { ProbeHost, type ProbeStatus } from './probe-host.ts';
import { Shipper } from './shipper.ts';

export interface CollectorOptions {
  readonly native: Native;
  readonly probes: readonly Probe[];
  readonly config: CollectorConfig;
  readonly node: string;
  readonly dataDir: string;
  /** gRPC target of the gateway. */
  readonly gatewayAddress: string;
  readonly version: string;
  readonly log: Log;
}

/** A running collector. */
export interface Collector {
  readonly metrics: CollectorMetrics;
  /** 32 hex digits. */
  readonly session: string;
  probes(): readonly ProbeStatus[];
  /** What the kernel counted, read now. */
  counters(): CounterTotals;
  /** Name of a live namespace, for people. */
  netnsName(cookie: number): string | undefined;
  /** The hole before this start; undefined when there was none. */
  readonly downtime: Downtime | undefined;
  /** Why some namespaces cannot be named; undefined when all can. */
  identityProblem(): string | undefined;
  /** Detaches, sends what is left; returns messages that stay in the spool. */
  close(graceMs?: number): Promise<number>;
}

const chunkBytes = 256 * 1024;
const maxChunks = 32;
const maxInFlightBytes = 8 * 1024 * 1024;

/** Starts the collector: probes, identity and heartbeats into numbered batches, through the spool to the gateway. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { native, config, log, node, dataDir } = options;
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const clock = new Clock(native);
  const session = sessionOf(bootId, clock.bootNs());
  const metrics = emptyCollectorMetrics();
  const limiter = new LogLimiter();
  const totals = new CounterTotals();
  const lifeSigns = new LifeSigns(join(dataDir, 'last-heartbeat.json'), bootId);
  const lister = openNetnsLister(native, log);
  const namespaces = new NodeNamespaces(native, lister.iterate);
  const tracker = new NetnsTracker(native, namespaces, inodeOf('/proc/1/ns/net'));
  const host = new ProbeHost(native, { drainMs: config.drainInterval, chunkBytes, maxChunks }, log);
  let downtime: Downtime | undefined;
  let keyframeDue = true;
  let closed = false;

  const batcher = new Batcher(config.batchSize, clock.offset, seal, lookNow);
  const shipper = await Shipper.start({
    spoolDir: join(dataDir, 'spool'),
    session: { node, session, startedMs: Date.now() },
    maxBytes: config.spoolSize,
    sender: { address: options.gatewayAddress, version: options.version, maxInFlightBytes, onKeyframeRequest: () => (keyframeDue = true) },
    metrics,
    log,
    limiter,
    refused,
  });

  let lingerTimer: NodeJS.Timeout | undefined;
  function receive(chunk: Buffer): void {
    batcher.add(chunk);
    lingerTimer ??= setTimeout(() => {
      lingerTimer = undefined;
      batcher.flush();
    }, config.batchLinger);
  }

  function seal(batch: SealedBatch): void {
    metrics.items += batch.count;
    metrics.batches++;
    shipper.ship({ batch });
  }

  function refused(message: CollectorBody): void {
    const { batch } = message;
    if (!batch) keyframeDue = true;
    else {
      metrics.skippedItems += batch.count ?? 0;
      batcher.skip(batch.firstItem ?? 0, batch.count ?? 0, 'disk_full');
      for (const range of batch.skipped ?? []) batcher.skip(range.firstItem ?? 0, range.count ?? 0, range.reason ?? '');
      for (const loss of batch.kernelLosses ?? []) batcher.kernelLost(loss.probe ?? 0, loss.count ?? 0);
    }
  }

  /** Identity goes out before the records that use it: what is gathered belongs to what was known. */
  function look(): void {
    const { changed, gone } = tracker.look(clock.bootNs());
    metrics.identityScans++;
    if (changed.length > 0) {
      batcher.flush();
      batcher.setKnown(tracker.cookies());
      shipper.ship({ identity: { netns: changed } });
    }
    for (const net of gone) retire(net);
  }

  // A namespace that nobody knows yet triggers a look at once, but not more than a few a second.
  let nextLookMs = 0;
  function lookNow(): void {
    const nowMs = performance.now();
    if (nowMs < nextLookMs) return;
    nextLookMs = nowMs + 100;
    look();
  }

  function readTotals(): CounterTotals {
    // Once the objects are closed, what was read last stays.
    if (closed) return totals;
    const objects = host.objects().map(({ object }) => object);
    totals.update(
      objects.flatMap(readCounters),
      objects.reduce((sum, object) => sum + readUncounted(object), 0),
    );
    return totals;
  }

  function retire(net: number): void {
    for (const { object, probe } of host.objects()) {
      deleteCounters(object, readCounters(object), net);
      object.mapDelete(probeMaps.buckets, bucketKey(net, probe.number));
    }
    totals.retire(net);
  }

  function tellLosses(): void {
    readTotals();
    for (const { probe } of host.objects()) batcher.kernelLost(probe.number, totals.newLosses(probe.number));
  }

  function keyframe(): void {
    keyframeDue = false;
    batcher.flush();
    const counters = [...readTotals().all()];
    for (const part of keyframeParts(batcher.nextItem, clock.firstOffset, tracker.all(), enums, counters, downtime))
      shipper.ship({ keyframe: part });
  }

  function beat(): void {
    if (clock.stepped()) {
      batcher.flush();
      log.warn({}, 'the wall clock was stepped by more than a second: timestamps follow it from here on');
    }
    clock.update();
    batcher.clockOffset = clock.offset;
    look();
    if (keyframeDue) keyframe();
    const { seconds, nanos } = clock.offset;
    shipper.ship({ heartbeat: { bootNs: clock.bootNs(), clockOffset: { seconds, nanos }, nextItem: batcher.nextItem } });
    if (host.objects().length > 0) signLife();
  }

  /** Only who listens leaves a sign: the hole before a start reaches back to the last one who did. */
  function signLife(): void {
    try {
      lifeSigns.write(clock.wallNs());
    } catch (thrown) {
      limiter.once('life-sign', () =>
        log.warn({ cause: messageOf(thrown) }, 'the sign of life cannot be written: a later start cannot state its hole exactly'),
      );
    }
  }

  const enums = enumNames(options.probes, native);
  tracker.look(clock.bootNs());
  batcher.setKnown(tracker.cookies());
  for (const probe of options.probes) {
    const status = host.start(probe, { burst: config.burst, intervalNs: Math.round(1e9 / config.rate), filterMode: 'all' }, receive);
    if (status.state !== 'failed') downtime ??= lifeSigns.downtime(clock.wallNs());
  }
  if (downtime !== undefined) metrics.unobservedSeconds = Number(downtime.toUnixNs - downtime.fromUnixNs) / 1e9;
  keyframe();
  beat();

  const timers = [
    setInterval(beat, config.heartbeatInterval),
    setInterval(tellLosses, config.counterInterval),
    setInterval(() => (keyframeDue = true), config.keyframeInterval),
  ];
  const folder = watchNetnsFolder((name) => {
    namespaces.forget(name);
    lookNow();
  });

  return {
    metrics,
    session,
    downtime,
    probes: () => host.status(),
    counters: readTotals,
    netnsName: (cookie) => tracker.nameOf(cookie),
    identityProblem: () => lister.problem ?? namespaces.problem,
    async close(graceMs = 5_000) {
      timers.forEach(clearInterval);
      clearTimeout(lingerTimer);
      folder?.close();
      await host.stop();
      tellLosses();
      batcher.flush();
      beat();
      closed = true;
      host.close();
      lister.close();
      return shipper.close(graceMs);
    },
  };
}

/** 16 bytes as hex: one life of one collector on one boot of one machine. */
function sessionOf(bootId: string, startBootNs: number): string {
  return createHash('sha256').update(`${bootId}\0${startBootNs}\0${process.pid}`).digest('hex').slice(0, 32);
}

function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch {
    // Without CAP_SYS_PTRACE process 1 is closed to us; our own namespace is the node's then, as far as we can tell.
    return statSync('/proc/self/ns/net').ino;
  }
}

interface NetnsLister {
  readonly iterate: (() => ReturnType<typeof parseNetnsRows>) | undefined;
  readonly problem: string | undefined;
  close(): void;
}

/** The BPF iterator over processes; where it cannot run, /proc is read instead. */
function openNetnsLister(native: Native, log: Log): NetnsLister {
  let object: BpfObject | undefined;
  try {
    const opened = native.openObject('netns', readBpfObject('netns'));
    object = opened;
    opened.load();
    const [program] = opened.programs();
    return { iterate: () => parseNetnsRows(opened.iterate(program?.name ?? '')), problem: undefined, close: () => opened.close() };
  } catch (thrown) {
    object?.close();
    log.debug({ cause: messageOf(thrown) }, 'namespaces are listed from /proc');
    return { iterate: undefined, problem: messageOf(thrown), close: () => undefined };
  }
}

function watchNetnsFolder(changed: (name: string) => void): { close(): void } | undefined {
  try {
    const watcher = watch('/run/netns', (_event, name) => changed(name ?? ''));
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // The folder comes with the first `ip netns add`; until it is there, the looks of each second find it.
    return undefined;
  }
}
