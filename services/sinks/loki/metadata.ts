import type { EventBatchView } from '../../../schema/batch.ts';
import { varintLength, writeVarint } from './varint.ts';

const nameTag = 0x0a;
const valueTag = 0x12;
const metadataTag = 0x1a;
/** Pods whose encoded fields are kept; beyond, all are made anew. */
const maxKept = 20_000;

/** Structured metadata of an event besides `event_id`, by name; empty ones are left out. */
export function metadataOf(view: EventBatchView, row: number): (readonly [name: string, value: string])[] {
  const pairs = [
    ['node', view.node(row)],
    ['namespace', view.namespace(row)],
    ['pod', view.pod(row)],
    ['uid', view.podUid(row)],
  ] as const;
  return pairs.filter(([, value]) => value !== '');
}

/** Writes a LabelPair whose value is ASCII, without its own tag and length; returns where it ends. */
export function encodeMetadata(buffer: Buffer, start: number, name: Buffer, value: string): number {
  let at = start;
  buffer[at++] = nameTag;
  buffer[at++] = name.length;
  at += name.copy(buffer, at);
  buffer[at++] = valueTag;
  buffer[at++] = value.length;
  return at + buffer.write(value, at, 'latin1');
}

/** The encoded fields of each Pod, made once: neighbours mostly agree, and Pods come again. */
export class MetadataFields {
  readonly #kept = new Map<string, Buffer>();
  #last: Buffer = Buffer.alloc(0);
  #node = '';
  #namespace = '';
  #pod = '';
  #uid = '';

  of(view: EventBatchView, row: number): Buffer {
    const node = view.node(row);
    const namespace = view.namespace(row);
    const pod = view.pod(row);
    const uid = view.podUid(row);
    if (pod === this.#pod && namespace === this.#namespace && node === this.#node && uid === this.#uid) return this.#last;
    const key = `${node}\n${namespace}\n${pod}\n${uid}`;
    let fields: Buffer | undefined = this.#kept.get(key);
    if (fields === undefined) {
      if (this.#kept.size >= maxKept) this.#kept.clear();
      fields = Buffer.concat(metadataOf(view, row).map(([name, value]) => encodeField(name, value)));
      this.#kept.set(key, fields);
    }
    this.#node = node;
    this.#namespace = namespace;
    this.#pod = pod;
    this.#uid = uid;
    this.#last = fields;
    return fields;
  }
}

function encodeField(name: string, value: string): Buffer {
  const pair = Buffer.concat([encodeBytes(nameTag, Buffer.from(name)), encodeBytes(valueTag, Buffer.from(value))]);
  return encodeBytes(metadataTag, pair);
}

function encodeBytes(tag: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(1 + varintLength(bytes.length));
  head[0] = tag;
  writeVarint(head, 1, bytes.length);
  return Buffer.concat([head, bytes]);
}
