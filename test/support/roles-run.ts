import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Dispositions } from '../../services/aggregator/dispositions.ts';
import { partitionOf } from '../../services/gateway/partition.ts';
import { newDispositions, type SinkCounters, type Dispositions as SinkDispositions } from '../../services/sinks/metrics.ts';
import { CollectorFleet } from './collector-fleet.ts';
import { askElasticsearch } from './elasticsearch-server.ts';
import { ElasticsearchStore, type EventStore, FileStore, LokiStore, verdictOf } from './event-stores.ts';
import type { Verdict } from './expected-events.ts';
import { FaultProxy } from './fault-proxy.ts';
import { KafkaRoles, type RoleName } from './kafka-roles.ts';
import { expectAggregatorIdentity, expectSinkIdentity, sum } from './loss-identity.ts';
import { patiently } from './patiently.ts';
import type { Installation } from './single-run.ts';
import { lokiTenants, type StoreServers } from './store-servers.ts';

const partitions = 4;
/** Names of all fake collectors' nodes begin so. */
const fleetNodes = 'synthetic-';
const firstNode = 1;
const sinksRole: RoleName = 'sinks';

export interface RolesRunOptions {
  /** Of topics, index and cluster: of no other run. */
  readonly name: string;
  readonly seed: number;
  readonly nodes: number;
  readonly recordsPerSecond: number;
  /** Whether the nodes' time goes on as the clock does, and not by 0.1 ms a record. Default false. */
  readonly timeFlows?: boolean;
  /** Whether the Loki sink may query. Default true. */
  readonly mayQuery?: boolean;
  /** Whether Loki splits its streams. Default true. */
  readonly sharded?: boolean;
  /** path=value, for all roles. */
  readonly settings?: readonly string[];
}

/** A partition as the aggregator tells it. */
interface PartitionFigures extends Dispositions {
  readonly partition: number;
  /** Raw messages below it are processed. */
  readonly rawOffset: number;
  readonly nextEvent: number;
  readonly expectedItems: number;
}

/** A sink as its process tells it. */
interface SinkFigures extends Omit<SinkCounters, 'partitions'> {
  readonly partitions: readonly (readonly [number, SinkDispositions])[];
}

/** What an aggregator and the sinks of events tell. */
export interface Figures {
  readonly aggregator: readonly PartitionFigures[];
  readonly sinks: readonly SinkFigures[];
}

/** Roles over Kafka that deliver to files, Elasticsearch and Loki at once, with the load of a fleet of collectors. */
export class RolesRun {
  readonly roles: KafkaRoles;
  readonly fleet: CollectorFleet;
  /** Stand before Loki and Elasticsearch. */
  readonly proxies: { readonly loki: FaultProxy; readonly elasticsearch: FaultProxy };
  readonly #servers: StoreServers;
  readonly #options: RolesRunOptions;
  readonly #fromS: number;
  /** Events that processes which were killed since had counted as possibly doubled. */
  #doubledBefore = 0;

  private constructor(servers: StoreServers, options: RolesRunOptions, roles: KafkaRoles, proxies: RolesRun['proxies'], bootMs: number) {
    this.#servers = servers;
    this.#options = options;
    this.roles = roles;
    this.proxies = proxies;
    this.#fromS = Math.floor(bootMs / 1000) - 60;
    const { seed, nodes, recordsPerSecond, timeFlows = false } = options;
    const folder = join(servers.folder.path, options.name, 'fleet');
    const load = { nodes, firstNode, recordsPerSecond, seed, bootMs, timeFlows };
    this.fleet = new CollectorFleet({ folder, gatewayAddress: roles.gatewayAddress, ...load });
  }

  /** Starts everything; resolves when the load flows. */
  static async start(servers: StoreServers, options: RolesRunOptions): Promise<RolesRun> {
    const { name, mayQuery = true, sharded = true, settings = [] } = options;
    const proxies = {
      loki: await FaultProxy.start(servers.loki.address),
      elasticsearch: await FaultProxy.start(servers.elasticsearch.address),
    };
    if (!mayQuery) proxies.loki.fault = ({ url }) => (url?.includes('/query') ? { status: 403, body: 'you may only push' } : 'pass');
    const roles = await KafkaRoles.over(servers.kafka.address, join(servers.folder.path, name), [
      `cluster.name=${name}`,
      `bus.kafka.topicPrefix=${name}-`,
      `bus.kafka.partitions=${partitions}`,
      'sinks.loki.enabled=true',
      `sinks.loki.url=${proxies.loki.address}`,
      `sinks.loki.tenantId=${sharded ? lokiTenants.sharded : lokiTenants.whole}`,
      'sinks.elasticsearch.enabled=true',
      `sinks.elasticsearch.urls=["${proxies.elasticsearch.address}"]`,
      `sinks.elasticsearch.index=${name}`,
      ...settings,
    ]);
    const run = new RolesRun(servers, options, roles, proxies, Date.now());
    try {
      // The first one makes the topics.
      await roles.start('gateway');
      await Promise.all([roles.start('aggregator'), roles.start('sinks'), run.fleet.start()]);
    } catch (thrown) {
      await run.close();
      throw thrown;
    }
    return run;
  }

  /** Resolves when each sink has delivered events. */
  delivered(): Promise<void> {
    return patiently('each store has taken events', 60_000, async () =>
      (await this.figures()).sinks.every(({ partitions }) => partitions.some(([, found]) => found.delivered > 0)),
    );
  }

  /** kill -9, and again at work. */
  async killAndStart(role: RoleName): Promise<void> {
    await this.kill(role);
    await this.roles.start(role);
  }

  async kill(role: RoleName): Promise<void> {
    if (role === sinksRole) this.#doubledBefore += await this.#possiblyDoubledNow();
    await this.roles.kill(role);
  }

  /** Ends the load; resolves when each sink has taken all events. */
  async settle(limitMs: number): Promise<void> {
    expect(await this.fleet.end(), 'messages that stay in spools').toBe(0);
    const { events } = this.fleet.items();
    let last: unknown;
    await patiently('every event is taken by each sink', limitMs, async () => {
      const figures = await this.figures();
      last = this.#behind(figures);
      const made = figures.aggregator.reduce((total, partition) => total + partition.events, 0);
      const held = figures.aggregator.reduce((total, partition) => total + partition.held, 0);
      return made >= events.count && held === 0 && Object.values(this.#behind(figures)).every((behind) => behind === 0);
    }).catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}: behind ${JSON.stringify(last)}\n${this.said()}`, { cause: thrown });
    });
    // What would come twice may still be on its way.
    await sleep(1_000);
  }

  /** What the stores hold of the fleet's events against what it spooled. @param sinks processes with files */
  async verdicts(sinks: readonly string[] = [sinksRole]): Promise<Record<string, Verdict>> {
    const { events, uncertain } = this.fleet.items();
    const stores = this.stores(sinks);
    const held = await Promise.all(stores.map((store) => store.events(fleetNodes)));
    // What a killed fleet may have spooled is in all stores, or in none.
    const found = new Set(held[0].ids);
    const expected = events.copy();
    for (const [prefix, item] of uncertain.expected()) if (found.has(`${prefix}-${item}`)) expected.expect(prefix, item);
    return Object.fromEntries(stores.map(({ name }, index) => [name, verdictOf(expected, held[index])]));
  }

  /** The stores of this run. @param sinks processes with files */
  stores(sinks: readonly string[] = [sinksRole]): readonly EventStore[] {
    const { name, sharded = true } = this.#options;
    const tenantId = sharded ? lokiTenants.sharded : lokiTenants.whole;
    return [
      new FileStore(...sinks.map((sink) => this.roles.folderOf(sink))),
      new ElasticsearchStore(this.#servers.elasticsearch.address, `${name}-*`),
      new LokiStore({ address: this.#servers.loki.address, tenantId }, name, this.#fromS),
    ];
  }

  /** Both identities, to the item and to the event; nothing was given up, refused or lost on the way. */
  async expectLossIdentity(): Promise<void> {
    const { aggregator, sinks } = await this.figures();
    for (const partition of aggregator) {
      expectAggregatorIdentity(partition, partition.expectedItems);
      expect([partition.gaps, partition.refusedMessages], `gaps and refused messages of partition ${partition.partition}`).toEqual([0, 0]);
      for (const sink of sinks) {
        const found = new Map(sink.partitions).get(partition.partition) ?? newDispositions();
        expectSinkIdentity(found, partition.nextEvent);
        expect([sum(found.lost), found.rejected], `lost and rejected by ${sink.sink}`).toEqual([0, 0]);
      }
    }
  }

  /** Events that the aggregator has made; the sinks' process need not run. */
  async made(): Promise<number> {
    const [{ aggregator }] = (await this.roles.ask('aggregator', 'dispositions')) as [Pick<Figures, 'aggregator'>];
    return madeBy(aggregator);
  }

  /** Events that each sink has not taken, by sink. */
  async behind(): Promise<Record<string, number>> {
    return this.#behind(await this.figures());
  }

  /** Events that each sink has taken, by sink. */
  async taken(): Promise<Record<string, number>> {
    const { sinks } = await this.figures();
    return Object.fromEntries(sinks.map((sink) => [sink.sink, takenBy(sink)]));
  }

  /** Events that the Loki sink counted as possibly doubled, in all its lives. */
  async possiblyDoubled(): Promise<number> {
    return this.#doubledBefore + (await this.#possiblyDoubledNow());
  }

  /** How the fleet's records stand beside the events. */
  summary(): string {
    const { events, uncertain, items } = this.fleet.items();
    return `${this.#options.name}: ${events.count} events of ${items} records, ${uncertain.count} uncertain`;
  }

  /** Where it works: Kafka, and the names there. */
  get installation(): Installation {
    const { name } = this.#options;
    return { broker: this.#servers.kafka.address, topicPrefix: `${name}-`, partitions, cluster: name };
  }

  /** Partitions of the fleet's nodes. */
  get usedPartitions(): readonly number[] {
    const nodes = Array.from({ length: this.#options.nodes }, (_, index) => `${fleetNodes}${firstNode + index}`);
    return [...new Set(nodes.map((node) => partitionOf(node, partitions)))];
  }

  /** What the roles said last. */
  said(): string {
    return ['gateway', 'aggregator', sinksRole].map((name) => this.roles.said(name)).join('\n');
  }

  async close(): Promise<void> {
    await this.fleet.kill();
    await this.roles.killAll();
    await Promise.all([this.proxies.loki.close(), this.proxies.elasticsearch.close()]);
    const { address } = this.#servers.elasticsearch;
    // Shards that nobody needs take memory of a small server.
    const indices = (await askElasticsearch(address, 'GET', `/${this.#options.name}-*`).catch(() => ({}))) as object;
    for (const index of Object.keys(indices)) await askElasticsearch(address, 'DELETE', `/${index}`);
  }

  /** What an aggregator and a sinks process tell. Default: the first ones. */
  figures(aggregatorName?: string, sinksName?: string): Promise<Figures> {
    return figuresOf(this.roles, aggregatorName, sinksName);
  }

  #behind({ aggregator, sinks }: Figures): Record<string, number> {
    const made = madeBy(aggregator);
    return Object.fromEntries(sinks.map((sink) => [sink.sink, made - takenBy(sink)]));
  }

  async #possiblyDoubledNow(): Promise<number> {
    const { sinks } = await this.figures();
    return sinks.find(({ sink }) => sink === 'loki')?.delivery.possiblyDuplicatedEvents ?? 0;
  }
}

/** What an aggregator and a sinks process tell. Default: the first ones. */
export async function figuresOf(roles: KafkaRoles, aggregatorName = 'aggregator', sinksName: string = sinksRole): Promise<Figures> {
  const [[{ aggregator }], [{ sinks }]] = (await Promise.all([
    roles.ask(aggregatorName, 'dispositions'),
    roles.ask(sinksName, 'dispositions'),
  ])) as [[Figures], [Figures]];
  return { aggregator, sinks: sinks.filter(({ sink }) => sink !== 'prometheus') };
}

function madeBy(partitions: readonly PartitionFigures[]): number {
  return partitions.reduce((total, { nextEvent }) => total + nextEvent, 0);
}

function takenBy({ partitions }: SinkFigures): number {
  return partitions.reduce((total, [, found]) => total + found.in - found.repeat + sum(found.lost), 0);
}
