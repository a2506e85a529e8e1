import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Probe } from '../../bpf/probe.ts';
import type { PartitionStats } from '../../core/bus/partition-log.ts';
import { type Log, LogLimiter } from '../../core/log.ts';
import type { Native } from '../../native/addon.ts';
import { Clock } from './clock.ts';
import type { CollectorConfig } from './config.ts';
import { openTranslator } from './conntrack/open-translator.ts';
import type { CounterTotals } from './counters.ts';
import { type Downtime, LifeSigns } from './downtime.ts';
import type { GatewayTarget } from './gateway-target.ts';
import { findHierarchies } from './identity/cri/cgroup-hierarchies.ts';
import { ContainerCgroups } from './identity/cri/container-cgroup.ts';
import { PodTracker } from './identity/cri/pod-tracker.ts';
import { PodWatcher } from './identity/cri/pod-watcher.ts';
import { netnsCookieOf } from './identity/netns-cookie.ts';
import { hostNetnsPath, openNetnsLister, watchNetnsFolder } from './identity/netns-lister.ts';
import { NodeIdentity } from './identity/node-identity.ts';
import { NodeNamespaces } from './identity/node-namespaces.ts';
import { NetnsTracker } from './identity/tracker.ts';
import { KernelPlaces } from './kernel-places.ts';
import { enumNames } from './keyframe.ts';
import { LiveSymbols } from './live-symbols.ts';
import { type CollectorMetrics, emptyCollectorMetrics } from './metrics.ts';
import { CollectorPipeline } from './pipeline.ts';
import { ProbeHost } from './probe-host.ts';
import type { ProbeOrder } from './probe-intent.ts';
import { type OrderedProbe, ProbeOrders } from './probe-orders.ts';
import { Shipper } from './shipper.ts';
import { Baselines } from './sources/baselines.ts';
import { scanCgroups } from './sources/cgroup-scan.ts';

export interface CollectorOptions {
  readonly native: Native;
  readonly probes: readonly Probe[];
  readonly config: CollectorConfig;
  readonly node: string;
  readonly dataDir: string;
  readonly gateway: GatewayTarget;
  readonly version: string;
  readonly log: Log;
}

/** A running collector. */
export interface Collector {
  readonly metrics: CollectorMetrics;
  /** 32 hex digits. */
  readonly session: string;
  probes(): readonly OrderedProbe[];
  /** Enables or disables a probe; with `forMs` for so long. Throws COLLECTOR_*. */
  orderProbe(name: string, order: ProbeOrder, forMs?: number): Promise<OrderedProbe>;
  /** Takes up what may change while it runs. */
  configure(config: CollectorConfig): Promise<void>;
  /** How full the spool is. */
  spool(): PartitionStats;
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
/** How long a start waits for the container runtime: records of its Pods are held so long at least. */
const firstAnswerMs = 2_000;

/** Starts the collector: probes, identity and heartbeats into numbered batches, through the spool to the gateway. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { native, config, log, node, dataDir } = options;
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const clock = new Clock(native);
  const session = sessionOf(bootId, clock.bootNs());
  const metrics = emptyCollectorMetrics();
  const limiter = new LogLimiter();
  const lister = openNetnsLister(native, log);
  const namespaces = new NodeNamespaces(native, lister.iterate);
  const tracker = new NetnsTracker(native, namespaces, statSync(hostNetnsPath(config.hostNetns)).ino);
  const cgroups = new ContainerCgroups(findHierarchies());
  const changed = (): void => pipeline.lookSoon();
  const pods = new PodTracker({ clock, cgroups, cookieOf: (path) => netnsCookieOf(path, native, tracker), changed });
  const watcher = new PodWatcher({ config: config.cri, tracker: pods, clock, cgroupMount: cgroups.mounts.unified, log, limiter, changed });
  const identity = new NodeIdentity(tracker, pods, watcher);
  const symbols = new LiveSymbols();
  const reading = {
    drainMs: config.drainInterval,
    chunkBytes,
    maxChunks,
    transport: config.transport,
    hookSystemCalls: config.hookSystemCalls,
  };
  const host = new ProbeHost(native, { ...reading, names: symbols.namesFor(native) }, log);
  const orders = new ProbeOrders({ host, identity, log });
  const places = new KernelPlaces(options.probes, {
    stext: symbols.stext,
    nameOf: (offset) => symbols.nameOf(offset),
    readStack: (id) => host.stack(id),
    deleteStack: (id) => host.deleteStack(id),
  });
  const translator = openTranslator(native, identity, config.conntrack, metrics);
  const pipeline = new CollectorPipeline({
    clock,
    identity,
    bootId,
    translator,
    host,
    orders,
    places,
    enums: enumNames(options.probes, native),
    config,
    lifeSigns: new LifeSigns(join(dataDir, 'last-heartbeat.json'), bootId),
    metrics,
    log,
    limiter,
    sampling: {
      native,
      baselines: new Baselines(join(dataDir, 'baselines.json'), bootId),
      cgroups: () => (watcher.answers ? identity.cgroupTargets() : scanCgroups(cgroups.mounts)),
    },
    ship: (body) => shipper.ship(body),
    written: () => shipper.written(),
  });
  const shipper = await Shipper.start({
    spoolDir: join(dataDir, 'spool'),
    session: { node, session, startedMs: Date.now() },
    maxBytes: config.spoolSize,
    sender: {
      gateway: options.gateway,
      version: options.version,
      maxInFlightBytes,
      onKeyframeRequest: () => pipeline.wantKeyframe(),
    },
    metrics,
    log,
    limiter,
    refused: (body) => pipeline.refused(body),
  });
  await watcher.start(firstAnswerMs);
  pipeline.start(options.probes);
  const folder = watchNetnsFolder((name) => {
    namespaces.forget(name);
    pipeline.lookNow();
  });

  return {
    metrics,
    session,
    downtime: pipeline.downtime,
    probes: () => orders.list(),
    orderProbe: (name, order, forMs) => orders.order(name, order, forMs),
    configure: (changed) => pipeline.configure(options.probes, changed),
    spool: () => shipper.stats(),
    counters: () => pipeline.readTotals(),
    netnsName: (cookie) => identity.nameOf(cookie),
    identityProblem: () => lister.problem ?? namespaces.problem ?? (config.cri.socket === 'auto' ? undefined : watcher.problem),
    async close(graceMs = 5_000) {
      folder?.close();
      await watcher.close();
      await pipeline.stop();
      lister.close();
      translator?.close();
      return shipper.close(graceMs);
    },
  };
}

/** 16 bytes as hex: one life of one collector on one boot of one machine. */
function sessionOf(bootId: string, startBootNs: number): string {
  return createHash('sha256').update(`${bootId}\0${startBootNs}\0${process.pid}`).digest('hex').slice(0, 32);
}
