import { type ServiceError, status } from '@grpc/grpc-js';
import { messageOf } from '../../../../core/app-error.ts';
import { joinSignals } from '../../../../core/joined-signal.ts';
import type { Log, LogLimiter } from '../../../../core/log.ts';
import { backoffMs, sleep } from '../../../../core/retry.ts';
import type { Clock } from '../../clock.ts';
import type { CollectorConfig } from '../../config.ts';
import { cgroupTree } from './cgroup-tree.ts';
import { CriClient, type RuntimeClient } from './client.ts';
import { findEndpoint } from './endpoint.ts';
import { NodeCgroups } from './node-cgroups.ts';
import type { PodTracker } from './pod-tracker.ts';

export interface PodWatcherParts {
  readonly config: CollectorConfig['cri'];
  readonly tracker: PodTracker;
  readonly clock: Pick<Clock, 'bootNs'>;
  /** Mount point of the cgroup v2 hierarchy. */
  readonly cgroupMount: string | undefined;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** Something is to be told. */
  changed(): void;
  connect?(socket: string): RuntimeClient;
}

/** With events a list is only a safety net: it comes as seldom as this. */
const eventPollMs = 10_000;
/** Between two lists, whoever asks for one. */
const minPollMs = 100;
const minTreeNs = 1e9;
/** Where no runtime is found: kubelet and runtime may be installed later. */
const noSocketMs = 5_000;
/** Namespaces that come and go on such a node ask for nothing sooner. */
const minNoSocketMs = 1_000;
/** One that does not speak CRI, as Docker's containerd by default: its configuration may be changed. */
const noCriMs = 60_000;
const closeMs = 500;
const backoff = { initialMs: 200, maxMs: 5_000 };

/** Follows the container runtime for as long as the collector lives: by events where it has them, else by lists. */
export class PodWatcher {
  readonly nodeCgroups = new NodeCgroups();
  readonly #parts: PodWatcherParts;
  readonly #stop = new AbortController();
  #run: Promise<void> | undefined;
  #rung = false;
  #wake: () => void = () => undefined;
  #answered: () => void = () => undefined;
  #problem: string | undefined;
  #answeredMs = -Infinity;
  #eventful = false;
  #speaksCri = true;
  #treeWanted = true;
  #treeAtNs = -Infinity;

  constructor(parts: PodWatcherParts) {
    this.#parts = parts;
  }

  /** Why Pods are not known; undefined when they are, or none is looked for. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Whether the runtime answers: then a namespace that is new may be a Pod's. */
  get answers(): boolean {
    return performance.now() - this.#answeredMs < this.#longestPauseMs * 2;
  }

  get #longestPauseMs(): number {
    return Math.max(eventPollMs, this.#parts.config.pollInterval);
  }

  /** Begins. Resolves at the first answer, or after `limitMs`. */
  async start(limitMs: number): Promise<void> {
    if (this.#parts.config.socket === 'off') return;
    this.#run = this.#follow();
    const limit = sleep(limitMs, this.#stop.signal).catch(() => undefined);
    await Promise.race([limit, this.#firstAnswer()]);
  }

  /** Something is there that nobody knows: asks at once. */
  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** A record came from a cgroup that nobody knows. */
  unknownCgroup(): void {
    this.#treeWanted = true;
    this.ring();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    // A runtime that hangs holds its answer back until the deadline: the end does not wait for it.
    await Promise.race([this.#run, sleep(closeMs)]);
  }

  #firstAnswer(): Promise<void> {
    const { config } = this.#parts;
    // Where there is no socket there is nothing to wait for.
    if (findEndpoint(config.socket).socket === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#answered = () => resolve();
    });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      const { socket, problem } = findEndpoint(this.#parts.config.socket);
      if (problem !== undefined) this.#problem = problem;
      if (socket === undefined) {
        this.#rung = false;
        await this.#pause(noSocketMs, minNoSocketMs);
        continue;
      }
      const answeredMs = this.#answeredMs;
      await this.#followSocket(socket);
      failures = this.#answeredMs > answeredMs ? 0 : failures + 1;
      if (!this.#speaksCri) await this.#pause(noCriMs);
      else if (!signal.aborted) await sleep(minPollMs + backoffMs(failures, backoff), signal).catch(() => undefined);
    }
  }

  /** One connection, until it fails. */
  async #followSocket(socket: string): Promise<void> {
    const { connect, log, limiter } = this.#parts;
    const client = connect?.(socket) ?? new CriClient(socket);
    const over = new AbortController();
    const { signal, release } = joinSignals(over.signal, this.#stop.signal);
    this.#eventful = false;
    try {
      if (await this.#wantsEvents(client)) void this.#listen(client, signal);
      while (!signal.aborted) {
        await this.#look(client);
        await this.#pause(this.#eventful ? this.#longestPauseMs : this.#parts.config.pollInterval);
      }
    } catch (thrown) {
      this.#problem = `the container runtime at ${socket} does not answer: ${messageOf(thrown)}`;
      this.#speaksCri = (thrown as Partial<ServiceError>).code !== status.UNIMPLEMENTED;
      if (!this.#stop.signal.aborted) {
        limiter.once('cri', (heldBack) =>
          log.warn(
            { heldBack, code: 'COLLECTOR_CRI_UNREACHABLE', socket, cause: messageOf(thrown) },
            'the container runtime does not answer; known Pods stay',
          ),
        );
      }
    } finally {
      over.abort();
      release();
      client.close();
    }
  }

  /** containerd 1.7 hands each event to one of its readers only: one more would take them from the kubelet (containerd#7318). */
  async #wantsEvents(client: RuntimeClient): Promise<boolean> {
    const { events } = this.#parts.config;
    if (events !== 'auto') return events === 'on';
    const { runtimeName, runtimeVersion } = await client.version();
    return runtimeName === 'containerd' && Number(/^v?(\d+)\./.exec(runtimeVersion ?? '')?.[1] ?? 0) >= 2;
  }

  async #listen(client: RuntimeClient, signal: AbortSignal): Promise<void> {
    const changed = (): void => {
      this.#eventful = true;
      this.ring();
    };
    await client.events(changed, signal).catch(() => undefined);
    this.#eventful = false;
    this.ring();
  }

  async #look(client: RuntimeClient): Promise<void> {
    const { tracker, clock, cgroupMount, changed } = this.#parts;
    this.#rung = false;
    await tracker.refresh(client);
    const nowBootNs = clock.bootNs();
    if (cgroupMount !== undefined && this.#treeWanted && nowBootNs - this.#treeAtNs >= minTreeNs) {
      this.#treeWanted = false;
      this.#treeAtNs = nowBootNs;
      const tree = await cgroupTree(cgroupMount);
      this.nodeCgroups.look(tree, cgroupMount, tracker.containers(), nowBootNs, (id, cgroup) => tracker.foundBelow(id, cgroup));
      changed();
    }
    this.#problem = undefined;
    this.#speaksCri = true;
    this.#answeredMs = performance.now();
    this.#answered();
  }

  /** Waits until the next look is due or somebody rings; never less than the shortest time between two. */
  async #pause(ms: number, leastMs = minPollMs): Promise<void> {
    await sleep(leastMs, this.#stop.signal).catch(() => undefined);
    if (this.#rung || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, ms - leastMs));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
