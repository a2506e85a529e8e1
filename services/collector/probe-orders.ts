import type { Probe } from '../../bpf/probe.ts';
import { messageOf } from '../../core/app-error.ts';
import type { Log } from '../../core/log.ts';
import { suggestion } from '../../core/suggestion.ts';
import type { ProbeGap } from '../../proto/collect.ts';
import { collectorError } from './errors.ts';
import type { ProbeSetup, ProbeStatus } from './hosted-probe.ts';
import type { ProbeHost } from './probe-host.ts';
import { afterOrder, type ProbeIntent, type ProbeOrder, targetsOf } from './probe-intent.ts';

/** Who can be named as a target. */
export interface TargetFinder {
  /** Cookies of a target's live namespaces; undefined: there is no such target. */
  netnsOf(target: string): readonly number[] | undefined;
  /** Whether it is a Pod in the node's own namespace, which is not its alone. */
  onHostNetwork(target: string): boolean;
  /** Targets that live. */
  targets(): readonly string[];
}

export interface ProbeOrdersParts {
  readonly host: Pick<ProbeHost, 'start' | 'enable' | 'disable' | 'choose' | 'status'>;
  readonly identity: TargetFinder;
  readonly log: Log;
}

/** A probe as it runs, and what it is wanted for. */
export interface OrderedProbe extends ProbeStatus {
  readonly intent: ProbeIntent;
  /** Targets of the intent that the probe does not know a namespace of: they do not live now, or were not found yet. */
  readonly absent: readonly string[];
  /** What is wanted from a time on, when an order expires. */
  readonly next?: { readonly atUnixMs: number; readonly intent: ProbeIntent };
}

interface Temporary {
  readonly order: ProbeOrder;
  readonly atUnixMs: number;
  readonly timer: NodeJS.Timeout;
}

interface Ordered {
  readonly probe: Probe;
  /** What the configuration said last. */
  configured: boolean;
  /** What is wanted for long: by the configuration, then by orders without an end. */
  standing: ProbeIntent;
  /** Orders that expire, in the order in which they came. */
  temporary: Temporary[];
  /** Namespaces that the host was told last, with the mode. */
  chosen: string;
  /** Them by target: who is told that a target is there counts on it that the probe looks at it. */
  found: ReadonlyMap<string, readonly number[]>;
}

/** Orders that expire and targets of a probe, together. */
const maxOrders = 256;

/** Which probes run, and for whom: what the configuration says, and then what operators ask of the running agent. */
export class ProbeOrders {
  readonly #parts: ProbeOrdersParts;
  readonly #probes = new Map<string, Ordered>();

  constructor(parts: ProbeOrdersParts) {
    this.#parts = parts;
  }

  /** Takes on a probe, as the configuration wants it. */
  start(probe: Probe, setup: ProbeSetup, enabled = true): ProbeStatus {
    const standing: ProbeIntent = { mode: enabled ? 'all' : 'off' };
    this.#probes.set(probe.name, { probe, configured: enabled, standing, temporary: [], chosen: '', found: new Map() });
    return this.#parts.host.start(probe, setup, enabled);
  }

  /** The configuration was read again: what it says counts where it changed. */
  async configure(name: string, enabled: boolean): Promise<void> {
    const ordered = this.#ordered(name);
    if (ordered.configured === enabled) return;
    ordered.configured = enabled;
    this.#clear(ordered);
    ordered.standing = { mode: enabled ? 'all' : 'off' };
    await this.#apply(ordered);
  }

  /** Carries out an order; with `forMs` for so long, and not longer than this process lives. Throws COLLECTOR_*. */
  async order(name: string, order: ProbeOrder, forMs?: number): Promise<OrderedProbe> {
    const ordered = this.#ordered(name);
    this.#check(ordered, order, forMs);
    if (forMs !== undefined) {
      const timer = setTimeout(() => this.#expire(ordered, temporary), forMs).unref();
      const temporary: Temporary = { order, atUnixMs: Date.now() + forMs, timer };
      ordered.temporary.push(temporary);
    } else {
      // Who wants all of it on or off wants so now.
      if (order.target === undefined) this.#clear(ordered);
      ordered.standing = afterOrder(ordered.standing, order);
    }
    this.#parts.log.info({ probe: name, ...order, ...(forMs === undefined ? {} : { forMs }) }, 'an operator changes a probe');
    const status = await this.#apply(ordered);
    if (order.enable && status.state === 'failed') {
      const [problem] = status.problems;
      const { reason = '', remedy = '' } = problem ?? {};
      throw collectorError(missingPrivilege(remedy) ? 'COLLECTOR_PROBE_FORBIDDEN' : 'COLLECTOR_PROBE_FAILED', {
        probe: name,
        cause: reason,
        hint: remedy,
      });
    }
    return this.#row(ordered);
  }

  /** All probes, as they run. */
  list(): OrderedProbe[] {
    return [...this.#probes.values()].map((ordered) => this.#row(ordered));
  }

  /** What probes do not see now, for who judges by what they tell. */
  gaps(): ProbeGap[] {
    return this.list().flatMap(({ name, state, intent, problems }) => {
      const {
        probe: { number: probe },
        found,
      } = this.#ordered(name);
      if (state === 'disabled') return [{ probe, state: 'off' }];
      const causes = problems.map(({ what, reason }) => `${what}: ${reason}`).join('; ');
      if (state === 'failed') return [{ probe, state, cause: causes }];
      const gaps: ProbeGap[] = state === 'degraded' ? [{ probe, state, cause: causes }] : [];
      if ('targets' in intent) gaps.push({ probe, state: intent.mode, netns: targetsOf(intent).flatMap((one) => found.get(one) ?? []) });
      return gaps;
    });
  }

  /** Namespaces came or went: targets may have others now. */
  follow(): void {
    for (const ordered of this.#probes.values()) {
      if (targetsOf(intentOf(ordered)).length === 0) continue;
      try {
        this.#choose(ordered);
      } catch (thrown) {
        // The namespaces that it looked at before stay, and the next change tries again.
        this.#parts.log.warn(
          { code: 'COLLECTOR_PROBE_TARGETS_FAILED', probe: ordered.probe.name, cause: messageOf(thrown) },
          'a probe cannot follow its targets',
        );
      }
    }
  }

  /** Nothing expires any more. */
  close(): void {
    for (const ordered of this.#probes.values()) this.#clear(ordered);
  }

  #ordered(name: string): Ordered {
    const ordered = this.#probes.get(name);
    if (ordered !== undefined) return ordered;
    throw collectorError('COLLECTOR_UNKNOWN_PROBE', { probe: name, suggestion: suggestion(name, [...this.#probes.keys()]) });
  }

  #check(ordered: Ordered, { enable, target }: ProbeOrder, forMs: number | undefined): void {
    const { identity } = this.#parts;
    const { temporary, standing, probe } = ordered;
    if (target === undefined && forMs === undefined) return;
    if (temporary.length + targetsOf(standing).length >= maxOrders)
      throw collectorError('COLLECTOR_TOO_MANY_ORDERS', { probe: probe.name, max: maxOrders });
    if (target === undefined) return;
    if (identity.onHostNetwork(target)) throw collectorError('COLLECTOR_HOST_NETWORK', { pod: target });
    // What no longer lives may still be taken from a list.
    const known = identity.netnsOf(target) !== undefined || (!enable && targetsOf(intentOf(ordered)).includes(target));
    if (known) return;
    const alike = identity.targets().filter((one) => one.includes('/') === target.includes('/'));
    const what = target.includes('/') ? 'Pod' : 'network namespace';
    throw collectorError('COLLECTOR_UNKNOWN_TARGET', { what, target, suggestion: suggestion(target, alike.slice(0, maxSuggested)) });
  }

  #clear(ordered: Ordered): void {
    for (const { timer } of ordered.temporary) clearTimeout(timer);
    ordered.temporary = [];
  }

  #expire(ordered: Ordered, expired: Temporary): void {
    const { log } = this.#parts;
    ordered.temporary = ordered.temporary.filter((one) => one !== expired);
    log.info({ probe: ordered.probe.name, ...expired.order }, 'an order has expired');
    this.#apply(ordered).catch((thrown: unknown) =>
      log.error({ code: 'COLLECTOR_ORDER_NOT_UNDONE', probe: ordered.probe.name, cause: messageOf(thrown) }, 'it cannot be undone'),
    );
  }

  async #apply(ordered: Ordered): Promise<ProbeStatus> {
    const { host } = this.#parts;
    const { name } = ordered.probe;
    if (intentOf(ordered).mode !== 'off') {
      this.#choose(ordered);
      return host.enable(name);
    }
    const status = await host.disable(name);
    // It may have been enabled again while its records were read.
    if (intentOf(ordered).mode === 'off') this.#choose(ordered);
    return status;
  }

  #choose(ordered: Ordered): void {
    const intent = intentOf(ordered);
    const found = new Map(targetsOf(intent).map((target) => [target, this.#parts.identity.netnsOf(target) ?? []]));
    const netns = new Set([...found.values()].flat());
    const mode = intent.mode === 'off' ? 'all' : intent.mode;
    const chosen = [mode, ...netns].join(' ');
    if (chosen !== ordered.chosen) this.#parts.host.choose(ordered.probe.name, { mode, netns });
    ordered.chosen = chosen;
    ordered.found = found;
  }

  #row(ordered: Ordered): OrderedProbe {
    const { probe, temporary, found } = ordered;
    const status = this.#parts.host.status().find(({ name }) => name === probe.name);
    const intent = intentOf(ordered);
    const absent = targetsOf(intent).filter((target) => (found.get(target) ?? []).length === 0);
    const [first] = [...temporary].sort((a, b) => a.atUnixMs - b.atUnixMs);
    const row: OrderedProbe = { ...(status ?? { name: probe.name, state: 'disabled', attached: [], problems: [] }), intent, absent };
    if (first === undefined) return row;
    const then = intentOf({ ...ordered, temporary: temporary.filter((one) => one !== first) });
    return { ...row, next: { atUnixMs: first.atUnixMs, intent: then } };
  }
}

/** So many names are looked through for the one that was meant. */
const maxSuggested = 20;

/** What is wanted now. */
function intentOf({ standing, temporary }: Ordered): ProbeIntent {
  return temporary.map(({ order }) => order).reduce(afterOrder, standing);
}

/** Whether a probe's remedy is a capability: native/hint.c. */
export function missingPrivilege(remedy: string): boolean {
  return remedy.startsWith('Missing capability');
}
