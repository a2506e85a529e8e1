import type { EventDescription, EventValue, EventVariant } from '../../bpf/event.ts';
import { severities } from '../../schema/batch.ts';
import { ecsVersion, eventSchemaVersion } from '../../schema/event.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import { type Ends, isForwarded } from './end-names.ts';
import { fragments, identityFragment, tcpStateFragments, transportFragments } from './fragments.ts';
import { IdentityFragments } from './identity-fragments.ts';
import { LineBuffer } from './line-buffer.ts';
import type { Netns } from './netns.ts';
import type { Pod } from './pod.ts';

/** Room that one line may take: names are at most 255 characters each, and JSON may escape each one six-fold; a stack has 32 of 128. */
export const maxLineBytes = 32_768;

const af_inet6 = 10;
/** Nodes whose fragments are kept. */
const maxHosts = 4096;
const noTransport = Buffer.from('}');

/** Where and when: what the event line needs beside the record and its ends. */
export interface EventPlace {
  readonly node: string;
  readonly idPrefix: string;
  readonly item: number;
  readonly unixSeconds: number;
  readonly nanos: number;
}

/**
 * Writes event documents as JSON lines, byte by byte from cached fragments; field order is that of schema/event.ts.
 * The same record, ends and place always give the same bytes.
 */
export class EventLineWriter {
  readonly #cluster: string;
  readonly #line = new LineBuffer();
  readonly #heads = new Map<EventVariant, Buffer>();
  readonly #hosts = new Map<string, Buffer>();
  readonly #kubernetesHosts = new Map<string, Buffer>();
  readonly #types = new Map<EventDescription, Buffer>();
  readonly #identity = new IdentityFragments();
  readonly #valueKeys = new Map<EventDescription, readonly Buffer[]>();
  #second = -1;
  readonly #secondText = Buffer.alloc(19);

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Writes one line with its newline; returns its length. The buffer has room for maxLineBytes. */
  write(
    buffer: Uint8Array,
    at: number,
    description: EventDescription,
    variant: EventVariant,
    record: RecordReader,
    ends: Ends,
    place: EventPlace,
  ): number {
    const line = this.#line;
    line.use(buffer, at);
    line.fragment(fragments.timestamp);
    this.#timestamp(place.unixSeconds, place.nanos);
    line.fragment(fragments.message);
    line.json(description.message(record, ends));
    line.fragment(this.#head(description, variant));
    const reason = description.reason(record, ends);
    if (reason !== undefined) {
      line.fragment(fragments.reason);
      line.json(reason);
    }
    line.fragment(fragments.id);
    line.ascii(place.idPrefix);
    line.byte(45);
    line.integer(place.item);
    line.fragment(fragments.severity);
    line.integer(variant.severity);
    if (record.family === 0) this.#network(description, record);
    else this.#tuple(record, ends, place.node);
    this.#process(record);
    line.fragment(this.#host(place.node, ends.isKubernetes));
    this.#entity(ends, place.node);
    line.fragment(this.#type(description));
    if (description.values !== undefined) this.#values(description, description.values, record);
    if (description.texts !== undefined) this.#texts(description.texts, record, ends);
    this.#jitterscope(description, record, ends);
    line.fragment(fragments.end);
    return line.at - at;
  }

  #timestamp(unixSeconds: number, nanos: number): void {
    if (unixSeconds !== this.#second) {
      this.#second = unixSeconds;
      this.#secondText.write(new Date(unixSeconds * 1000).toISOString().slice(0, 19), 'latin1');
    }
    this.#line.fragment(this.#secondText);
    this.#line.byte(46);
    this.#line.padded(nanos, 9);
    this.#line.byte(90);
  }

  #head(description: EventDescription, variant: EventVariant): Buffer {
    let head = this.#heads.get(variant);
    if (head === undefined) {
      const level = severities[variant.severity] as string;
      const event = JSON.stringify({ kind: 'event', category: description.category, type: variant.types, action: variant.action });
      head = Buffer.from(`,"log":{"level":"${level}"},"ecs":{"version":"${ecsVersion}"},"event":${event.slice(0, -1)}`);
      this.#heads.set(variant, head);
    }
    return head;
  }

  #tuple(record: RecordReader, ends: Ends, node: string): void {
    const line = this.#line;
    const { source, destination } = ends;
    line.fragment(fragments.sourceIp);
    line.address(record.bytes, record.saddrAt);
    line.fragment(fragments.port);
    line.integer(record.sport);
    if (isForwarded(record)) this.#kubernetes(ends, ends.originPod, ends.originNetns, node);
    else this.#kubernetes(ends, source.pod, source.netns, node);
    line.fragment(fragments.destinationIp);
    line.address(record.bytes, record.daddrAt);
    line.fragment(fragments.port);
    line.integer(record.dport);
    const { translated } = destination;
    if (translated !== undefined) {
      line.fragment(fragments.natIp);
      line.address(translated.address, 0);
      line.fragment(fragments.port);
      line.integer(translated.port);
      line.byte(125);
    }
    this.#kubernetes(ends, destination.pod, destination.netns, node);
    line.fragment(record.family === af_inet6 ? fragments.ipv6 : fragments.ipv4);
    line.fragment(transportFragments[record.proto]?.[record.side] ?? noTransport);
  }

  /** A packet without an IP header has no addresses. */
  #network(description: EventDescription, record: RecordReader): void {
    const line = this.#line;
    const type = description.networkType?.(record);
    line.byte(125);
    if (type === undefined) return;
    line.fragment(fragments.network);
    line.json(type);
    line.fragment(transportFragments[0]?.[record.side] ?? noTransport);
  }

  #process(record: RecordReader): void {
    if ((record.flags & (recordFlags.OWNER | recordFlags.TASK)) === 0 || record.tgid === 0) return;
    const line = this.#line;
    line.fragment(fragments.process);
    line.integer(record.tgid);
    const name = record.comm;
    if (name !== '') {
      line.fragment(fragments.processName);
      line.json(name);
    }
    line.byte(125);
  }

  /** Who one end is in Kubernetes: a Pod, or the node itself. */
  #kubernetes({ isKubernetes }: Ends, pod: Pod | undefined, netns: Netns | undefined, node: string): void {
    if (pod !== undefined) this.#line.fragment(this.#identity.pod(pod, node));
    else if (isKubernetes && netns?.host) this.#line.fragment(this.#identity.node(node));
  }

  /** The entity that the event is about: the local end, with its container. */
  #entity(ends: Ends, node: string): void {
    const { pod, netns, container } = ends.source;
    this.#kubernetes(ends, pod, netns, node);
    if (container !== undefined) this.#line.fragment(this.#identity.container(container));
  }

  #host(node: string, isKubernetes: boolean): Buffer {
    const hosts = isKubernetes ? this.#kubernetesHosts : this.#hosts;
    let host = hosts.get(node);
    if (host === undefined) {
      const orchestrator = { type: isKubernetes ? 'kubernetes' : undefined, cluster: { name: this.#cluster } };
      host = Buffer.from(`,${JSON.stringify({ host: { name: node }, orchestrator }).slice(1, -1)}`);
      if (hosts.size >= maxHosts) hosts.clear();
      hosts.set(node, host);
    }
    return host;
  }

  #type(description: EventDescription): Buffer {
    let type = this.#types.get(description);
    if (type === undefined) {
      type = Buffer.from(`,"jitterscope":{"schema":${eventSchemaVersion},"type":"${description.type}","probe":"${description.type}"`);
      this.#types.set(description, type);
    }
    return type;
  }

  #values(description: EventDescription, values: readonly EventValue[], record: RecordReader): void {
    let keys = this.#valueKeys.get(description);
    if (keys === undefined) {
      keys = values.map(({ name }) => Buffer.from(`"${name}":`));
      this.#valueKeys.set(description, keys);
    }
    const line = this.#line;
    let any = false;
    for (let index = 0; index < keys.length; index++) {
      const value = values[index].read(record);
      if (value < 0) continue;
      if (any) line.byte(44);
      else line.fragment(fragments.values);
      any = true;
      line.fragment(keys[index]);
      line.integer(value);
    }
    if (any) line.byte(125);
  }

  #texts({ group, list }: NonNullable<EventDescription['texts']>, record: RecordReader, ends: Ends): void {
    const line = this.#line;
    let any = false;
    for (const text of list) {
      const value = text.read(record, ends);
      if (value === undefined || value.length === 0) continue;
      line.ascii(any ? `,"${text.name}":` : `,"${group}":{"${text.name}":`);
      any = true;
      if (typeof value === 'string') line.json(value);
      else this.#list(value);
    }
    if (any) line.byte(125);
  }

  #list(values: readonly string[]): void {
    const line = this.#line;
    line.byte(91);
    for (let index = 0; index < values.length; index++) {
      if (index > 0) line.byte(44);
      line.json(values[index]);
    }
    line.byte(93);
  }

  #jitterscope(description: EventDescription, record: RecordReader, ends: Ends): void {
    const line = this.#line;
    const { flags } = record;
    if (flags & recordFlags.CLIENT) line.fragment(fragments.client);
    else if (flags & recordFlags.SERVER) line.fragment(fragments.server);
    const state = tcpStateFragments[record.state];
    if (state !== undefined) line.fragment(state);
    const cookie = record.sock;
    if (cookie !== 0) {
      line.fragment(fragments.socket);
      line.integer(cookie);
      if (flags & recordFlags.V4MAPPED) line.fragment(fragments.v4mapped);
      line.byte(125);
    }
    if (flags & recordFlags.CGROUP && record.cgroup !== 0) {
      line.fragment(fragments.cgroup);
      line.integer(record.cgroup);
      line.byte(125);
    }
    line.fragment(fragments.netns);
    const { source, destination } = ends;
    this.#namespace(record, source.netns);
    if (destination.netns !== undefined && destination.netns !== source.netns && !destination.netns.host) {
      line.fragment(fragments.peer);
      line.fragment(this.#identity.netns(destination.netns));
      line.byte(125);
    }
    line.fragment(identityFragment(source.foundBy, destination.foundBy));
    line.integer(description.suppressed(record));
  }

  /** A namespace that nobody knows is told by its number alone. */
  #namespace(record: RecordReader, netns: Netns | undefined): void {
    if (netns === undefined) {
      this.#line.fragment(record.flags & recordFlags.NET_IS_INODE ? fragments.netnsInode : fragments.netnsCookie);
      this.#line.integer(record.net);
      return;
    }
    this.#line.fragment(this.#identity.netns(netns));
  }
}
