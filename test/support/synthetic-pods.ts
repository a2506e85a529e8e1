import type { CollectorBody, NetworkNamespace, Pod } from '../../proto/collect.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import { type RecordFields, writeRecords } from '../../schema/record-writer.ts';
import { Random } from './random.ts';

export interface TimelineOptions {
  readonly seed: number;
  /** The kernel has no cookies: namespaces and records carry inodes. */
  readonly byInode: boolean;
  /** The collector looks before it sends a batch, and tells what it saw first; else once a second, and behind the batch. */
  readonly lookBeforeBatch: boolean;
}

/** A namespace, a Pod or the node over its life, as it really was. */
export interface Life {
  readonly number: number;
  readonly kind: 'pod' | 'plain' | 'hostPod' | 'host';
  /** What records carry. */
  readonly net: number;
  readonly inode: number;
  /** cgroup ids of its two containers. */
  readonly cgroups: readonly [number, number];
  readonly startNs: number;
  endNs: number;
  readonly holds: Hold[];
  netnsTold: boolean;
  podTold: boolean;
}

interface Hold {
  readonly ip: number;
  readonly fromNs: number;
  toNs: number;
}

/** Who was at the two ends of a record, whatever anybody knew. */
export interface Truth {
  readonly bootNs: number;
  readonly local: Life;
  /** Name of the container that made the socket, where it is one of the local Pod. */
  readonly container: string | undefined;
  readonly far: Life | undefined;
  readonly translated: boolean;
  readonly farIp: number;
  /** Who held the far address within some time of the record, longer than any look takes. */
  near: readonly Life[];
  /** The far address changed hands after the last look that was told before the record. */
  stale: boolean;
}

export interface Timeline {
  readonly bodies: readonly CollectorBody[];
  /** By item number. */
  readonly truths: readonly Truth[];
}

const ms = 1e6;
const second = 1e9;
const startNs = 100 * second;
const endNs = 106 * second;
/** Shorter lives may come and go between two looks. */
const minLifeNs = 1.3 * second;
const nearNs = 1.2 * second;
const rootCgroup = 1;
const daemonCgroup = 2;
const untoldCgroup = 3;
const hostIp = 1;
const outsideIp = 99;

export const containerNames = ['app', 'sidecar'] as const;

/** Pods, plain namespaces and hostNetwork Pods that come and go and take each other's addresses and inodes at once. */
export function podTimeline(options: TimelineOptions): Timeline {
  return new Making(options).make();
}

/** One address as the looks saw it. */
interface SeenHold {
  readonly ip: number;
  readonly fromBootNs: number;
  toBootNs: number;
}

class Making {
  readonly #options: TimelineOptions;
  readonly #random: Random;
  readonly #lives: Life[] = [];
  readonly #freeIps = [10, 11, 12, 13];
  readonly #freeInodes = [51, 52, 53];
  readonly #host: Life;
  readonly #bodies: CollectorBody[] = [];
  readonly #truths: Truth[] = [];
  readonly #seen = new Map<Life, { fromBootNs: number; gone: boolean; holds: SeenHold[] }>();
  readonly #pods = new Map<Life, Pod>();
  #lookedNs = 0;
  #toldLookNs = 0;
  #seq = 0;
  #item = 0;
  #waiting: { dueNs: number; fields: RecordFields; truth: Truth }[] = [];

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#host = this.#life('host', 1, options.byInode ? 1 : 4, startNs);
    this.#host.holds.push({ ip: hostIp, fromNs: 0, toNs: Infinity });
    // From the start on it is a node of Kubernetes.
    this.#lives.push(this.#host);
    this.#lives.push(this.#life('hostPod', 1, 1, startNs));
  }

  make(): Timeline {
    const due = { act: startNs, look: startNs + second, poll: startNs + 0.4 * second, seal: startNs, keyframe: startNs + 2 * second };
    this.#keyframe(startNs);
    let now = startNs;
    while (now < endNs) {
      now += this.#random.integer(1, 100) * ms;
      if (now >= due.act) {
        this.#act(now);
        due.act = now + this.#random.integer(20, 400) * ms;
      }
      for (let n = this.#random.integer(0, 3); n > 0; n--) this.#record(now);
      if (now >= due.seal) {
        this.#seal(now);
        due.seal = now + 200 * ms;
      }
      if (now >= due.look) {
        this.#look(now);
        this.#send({ heartbeat: { bootNs: now, nextItem: this.#item } });
        due.look += second;
      }
      if (now >= due.poll) {
        this.#poll(now);
        due.poll += second;
      }
      if (now >= due.keyframe) {
        this.#keyframe(now);
        due.keyframe += 2 * second;
      }
    }
    for (const one of this.#waiting) one.dueNs = 0;
    this.#seal(now);
    for (let later = 1; later <= 10; later++) this.#send({ heartbeat: { bootNs: now + later * second, nextItem: this.#item } });
    for (const truth of this.#truths) truth.near = this.#holders(truth.farIp, truth.bootNs - nearNs, truth.bootNs + nearNs);
    return { bodies: this.#bodies, truths: this.#truths };
  }

  #send(body: CollectorBody): void {
    this.#seq++;
    this.#bodies.push({ ...body, seq: this.#seq });
  }

  #life(kind: Life['kind'], net: number, inode: number, nowNs: number): Life {
    const number = this.#lives.length;
    const cgroups: [number, number] = [1000 + number * 2, 1001 + number * 2];
    return { number, kind, net, inode, cgroups, startNs: nowNs, endNs: Infinity, holds: [], netnsTold: false, podTold: false };
  }

  #alive(): Life[] {
    return this.#lives.filter(({ endNs: end }) => end === Infinity);
  }

  #act(now: number): void {
    const mortal = this.#alive().filter(
      ({ kind, startNs: start, holds }) => kind !== 'host' && now - Math.max(start, holds.at(-1)?.fromNs ?? 0) > minLifeNs,
    );
    const dice = this.#random.next();
    if (dice < 0.4 && mortal.length > 0) this.#end(this.#pick(mortal), now);
    else if (dice < 0.55) this.#move(now);
    else this.#start(now);
  }

  #start(now: number): void {
    const dice = this.#random.next();
    if (dice < 0.2) {
      this.#lives.push(this.#life('hostPod', 1, 1, now));
      return;
    }
    const inode = this.#freeInodes.pop();
    if (inode === undefined) return;
    const net = this.#options.byInode ? inode : 5000 + this.#lives.length;
    const life = this.#life(dice < 0.8 ? 'pod' : 'plain', net, inode, now);
    this.#lives.push(life);
    if (this.#random.next() < 0.9) this.#take(life, now);
  }

  #take(life: Life, now: number): void {
    const ip = this.#freeIps.pop();
    if (ip !== undefined) life.holds.push({ ip, fromNs: now, toNs: Infinity });
  }

  /** A namespace gives its address back, or gets one. */
  #move(now: number): void {
    const own = this.#alive().filter(({ kind }) => kind === 'pod' || kind === 'plain');
    if (own.length === 0) return;
    const life = this.#pick(own);
    const last = life.holds.at(-1);
    if (last === undefined || last.toNs < Infinity) this.#take(life, now);
    else if (now - last.fromNs > minLifeNs) {
      last.toNs = now;
      this.#freeIps.push(last.ip);
    }
  }

  #end(life: Life, now: number): void {
    life.endNs = now;
    for (const hold of life.holds) {
      if (hold.toNs < Infinity) continue;
      hold.toNs = now;
      this.#freeIps.push(hold.ip);
    }
    // The collector's descriptor keeps an inode from being given out before its end was seen; where there are cookies nobody cares.
    if (life.kind !== 'hostPod' && !this.#options.byInode) this.#freeInodes.push(life.inode);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.integer(0, of.length)];
  }

  #record(now: number): void {
    const local = this.#pick(this.#alive());
    const bootNs = Math.max(local.startNs, now - this.#random.integer(0, 5) * ms);
    if (!this.#options.lookBeforeBatch && local.kind !== 'hostPod' && !this.#seen.has(local) && this.#random.next() < 0.7) {
      this.#seal(now);
      this.#look(now);
    }
    const made = this.#cgroup(local);
    const ip = this.#pick([10, 11, 12, 13, hostIp, outsideIp]);
    const translated = this.#random.next() < 0.2;
    const ownHold = local.holds.find(({ fromNs, toNs }) => bootNs >= fromNs && bootNs < toNs);
    const own = local.kind === 'hostPod' ? hostIp : ownHold === undefined ? 98 : ownHold.ip;
    const flags = recordFlags.SKB | (made.id === 0 ? 0 : recordFlags.CGROUP) | (this.#options.byInode ? recordFlags.NET_IS_INODE : 0);
    const fields = {
      ts: bootNs,
      probe: 1,
      variant: 1,
      net: local.net,
      flags,
      cgroup: made.id,
      family: 2,
      proto: 6,
      side: 2,
      saddr: address(own),
      daddr: translated ? [10, 96, 0, 1] : address(ip),
    };
    const holders = this.#holders(ip, bootNs);
    const truth = { bootNs, local, container: made.container, far: holders[0], farIp: ip, near: [], translated, stale: false };
    const delayNs = this.#random.next() < 0.1 ? this.#random.integer(0, 600) * ms : 0;
    this.#waiting.push({ dueNs: now + delayNs, fields, truth });
  }

  /** Who held an address within a time. */
  #holders(ip: number, fromNs: number, toNs = fromNs + 1): Life[] {
    return this.#lives.filter(({ holds }) => holds.some((hold) => hold.ip === ip && hold.fromNs < toNs && hold.toNs > fromNs));
  }

  #cgroup(local: Life): { id: number; container: string | undefined } {
    const dice = this.#random.next();
    const isPod = local.kind === 'pod' || local.kind === 'hostPod';
    if (local.kind === 'hostPod' || (isPod && dice < 0.5)) {
      const index = this.#random.integer(0, 2);
      return { id: local.cgroups[index], container: containerNames[index] };
    }
    const foreign = this.#alive().find(({ kind, number }) => kind === 'pod' && number !== local.number);
    if (dice < 0.65 && foreign !== undefined) return { id: foreign.cgroups[0], container: undefined };
    if (dice < 0.75 && local.kind !== 'host') return { id: untoldCgroup, container: undefined };
    return { id: this.#pick([0, rootCgroup, daemonCgroup]), container: undefined };
  }

  #seal(now: number): void {
    if (this.#options.lookBeforeBatch) this.#look(now);
    const ready = this.#waiting.filter(({ dueNs }) => dueNs <= now);
    this.#waiting = this.#waiting.filter(({ dueNs }) => dueNs > now);
    if (ready.length === 0) return;
    const translations = ready.flatMap(({ truth }, index) =>
      truth.translated ? [{ index, address: Uint8Array.from(mapped(address(truth.farIp))), port: 8080 }] : [],
    );
    for (const { truth } of ready) {
      const changes = this.#lives.flatMap(({ holds }) =>
        holds.filter((hold) => hold.ip === truth.farIp).flatMap(({ fromNs, toNs }) => [fromNs, toNs]),
      );
      truth.stale = changes.some((at) => at > this.#toldLookNs && at <= truth.bootNs);
      this.#truths.push(truth);
    }
    const records = writeRecords(ready.map(({ fields }) => fields));
    const batch = { firstItem: this.#item, count: ready.length, records, translations, clockOffset: { seconds: 1_790_000_000, nanos: 0 } };
    this.#item += ready.length;
    this.#send({ batch });
  }

  #look(now: number): void {
    const changed: NetworkNamespace[] = [];
    for (const life of this.#lives) {
      if (life.kind === 'hostPod') continue;
      const before = this.#seen.get(life);
      if (before?.gone || (before === undefined && life.endNs <= now)) continue;
      const seen = before ?? { fromBootNs: now, gone: false, holds: [] };
      this.#seen.set(life, seen);
      seen.gone = life.endNs <= now;
      const held = life.holds.filter(({ toNs }) => toNs === Infinity).map(({ ip }) => ip);
      const open = seen.holds.filter(({ toBootNs }) => toBootNs === 0);
      for (const one of open) if (!held.includes(one.ip)) one.toBootNs = now;
      const fresh = held.filter((ip) => !open.some((one) => one.ip === ip));
      for (const ip of fresh) seen.holds.push({ ip, fromBootNs: this.#lookedNs, toBootNs: 0 });
      if (before === undefined || seen.gone || fresh.length > 0 || open.some(({ toBootNs }) => toBootNs !== 0))
        changed.push(this.#netnsOf(life, now));
      life.netnsTold = true;
      if (seen.gone && this.#options.byInode) this.#freeInodes.push(life.inode);
    }
    this.#lookedNs = now;
    this.#toldLookNs = now;
    if (changed.length > 0) this.#send({ identity: { netns: changed } });
  }

  #netnsOf(life: Life, now: number): NetworkNamespace {
    const seen = this.#seen.get(life) as { fromBootNs: number; gone: boolean; holds: SeenHold[] };
    return {
      cookie: life.net,
      inode: life.inode,
      names: [`ns-${life.number}`],
      host: life.kind === 'host',
      fromBootNs: seen.fromBootNs,
      toBootNs: seen.gone ? now : 0,
      addressIntervals: seen.holds.map(({ ip, ...interval }) => ({ address: Uint8Array.from(mapped(address(ip))), ...interval })),
    };
  }

  #poll(now: number): void {
    const first = this.#pods.size === 0;
    const pods: Pod[] = [];
    for (const life of this.#lives) {
      if (life.kind !== 'pod' && life.kind !== 'hostPod') continue;
      const known = this.#pods.get(life);
      if (known === undefined && life.endNs > now) this.#pods.set(life, podOf(life));
      else if (known !== undefined && known.toBootNs === 0 && life.endNs <= now) this.#pods.set(life, { ...known, toBootNs: now });
      else continue;
      life.podTold = true;
      pods.push(this.#pods.get(life) as Pod);
    }
    if (pods.length > 0 || first) this.#send({ identity: { pods, nodeCgroups: [rootCgroup, daemonCgroup] } });
  }

  /** All that lives, in two parts. */
  #keyframe(now: number): void {
    this.#look(now);
    this.#poll(now);
    const netns = [...this.#seen].filter(([, { gone }]) => !gone).map(([life]) => this.#netnsOf(life, now));
    const pods = [...this.#pods.values()].filter(({ toBootNs }) => toBootNs === 0);
    const of = (part: number): CollectorBody => ({
      keyframe: {
        nextItem: this.#item,
        bootNs: now,
        part,
        parts: 2,
        identity: part === 0 ? { netns: netns.slice(0, 1), pods: pods.slice(1) } : { netns: netns.slice(1), pods: pods.slice(0, 1) },
      },
    });
    this.#send(of(0));
    this.#send(of(1));
  }
}

function podOf(life: Life): Pod {
  return {
    sandboxId: `sandbox-${life.number}`,
    uid: `uid-${life.number}`,
    namespace: 'shop',
    // Names come again, as those of a StatefulSet do.
    name: `pod-${life.number % 3}`,
    netns: life.kind === 'pod' ? life.net : 0,
    hostNetwork: life.kind === 'hostPod',
    containers: containerNames.map((name, index) => ({ id: `${name}-${life.number}`, name, cgroups: [life.cgroups[index]] })),
    fromBootNs: life.startNs,
    toBootNs: 0,
  };
}

function address(ip: number): number[] {
  return [10, 244, 0, ip];
}

function mapped(v4: readonly number[]): number[] {
  return [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...v4];
}
