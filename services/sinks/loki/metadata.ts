import { varintLength, writeVarint } from '../../../core/varint.ts';
import type { EventBatchView } from '../../../schema/batch.ts';

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

interface Kept {
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly fields: Buffer;
}

/** The encoded fields of each Pod, made once: neighbours mostly agree, and Pods come again. */
export class MetadataFields {
  /** By uid, else by the Pod's name, else by the node's. */
  readonly #kept = new Map<string, Kept>();

  of(view: EventBatchView, row: number): Buffer {
    const node = view.node(row);
    const namespace = view.namespace(row);
    const pod = view.pod(row);
    const uid = view.podUid(row);
    const key = uid || pod || node;
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.pod === pod && kept.node === node && kept.namespace === namespace && kept.uid === uid)
      return kept.fields;
    if (this.#kept.size >= maxKept) this.#kept.clear();
    const fields = Buffer.concat(metadataOf(view, row).map(([name, value]) => encodeField(name, value)));
    this.#kept.set(key, { node, namespace, pod, uid, fields });
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
