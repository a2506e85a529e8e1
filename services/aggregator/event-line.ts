import type { EventDescription, EventValue, EventVariant } from '../../bpf/event.ts';
import { severities } from '../../schema/batch.ts';
import { ecsVersion, eventSchemaVersion } from '../../schema/event.ts';
import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import type { Ends } from './end-names.ts';
import { fragments, identityFragment, tcpStateFragments, transportFragments } from './fragments.ts';
import type { Netns } from './identity.ts';
import { LineBuffer } from './line-buffer.ts';

/** Room that one line may take: names are at most 255 bytes each, and JSON may escape each byte six-fold. */
export const maxLineBytes = 16_384;

const af_inet6 = 10;
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
  readonly #tails = new Map<string, Buffer>();
  readonly #netns = new WeakMap<Netns, Buffer>();
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
    this.#tuple(record);
    this.#process(record);
    line.fragment(this.#tail(description, place.node));
    if (description.values !== undefined) this.#values(description, description.values, record);
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

  #tuple(record: RecordReader): void {
    const line = this.#line;
    line.fragment(fragments.sourceIp);
    line.address(record.bytes, record.saddrAt);
    line.fragment(fragments.port);
    line.integer(record.sport);
    line.fragment(fragments.destinationIp);
    line.address(record.bytes, record.daddrAt);
    line.fragment(fragments.port);
    line.integer(record.dport);
    line.fragment(record.family === af_inet6 ? fragments.ipv6 : fragments.ipv4);
    line.fragment(transportFragments[record.proto]?.[record.side] ?? noTransport);
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

  #tail(description: EventDescription, node: string): Buffer {
    const key = `${description.type}\0${node}`;
    let tail = this.#tails.get(key);
    if (tail === undefined) {
      const host = JSON.stringify({ host: { name: node }, orchestrator: { cluster: { name: this.#cluster } } }).slice(1, -1);
      tail = Buffer.from(
        `,${host},"jitterscope":{"schema":${eventSchemaVersion},"type":"${description.type}","probe":"${description.type}"`,
      );
      if (this.#tails.size >= 4096) this.#tails.clear();
      this.#tails.set(key, tail);
    }
    return tail;
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
    this.#namespace(record, ends.localNetns);
    if (ends.farNetns !== undefined && ends.farFoundBy !== 'same' && !ends.farNetns.host) {
      line.fragment(fragments.peer);
      line.fragment(this.#fragment(ends.farNetns));
      line.byte(125);
    }
    line.fragment(identityFragment(ends.localFoundBy, ends.farFoundBy));
    line.integer(description.suppressed(record));
  }

  /** A namespace that nobody knows is told by its number alone. */
  #namespace(record: RecordReader, netns: Netns | undefined): void {
    if (netns === undefined) {
      this.#line.fragment(record.flags & recordFlags.NET_IS_INODE ? fragments.netnsInode : fragments.netnsCookie);
      this.#line.integer(record.net);
      return;
    }
    this.#line.fragment(this.#fragment(netns));
  }

  #fragment(netns: Netns): Buffer {
    let fragment = this.#netns.get(netns);
    if (fragment === undefined) {
      const name = netns.host ? undefined : netns.names[0];
      fragment = Buffer.from(
        JSON.stringify({ name, cookie: netns.cookie === netns.inode ? undefined : netns.cookie, inode: netns.inode }).slice(1, -1),
      );
      this.#netns.set(netns, fragment);
    }
    return fragment;
  }
}
