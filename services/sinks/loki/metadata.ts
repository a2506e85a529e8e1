import { varintLength, writeVarint } from '../../../core/varint.ts';
import type { EventBatchView } from '../../../schema/batch.ts';

const nameTag = 0x0a;
const valueTag = 0x12;
const metadataTag = 0x1a;
const idName = 'event_id';
/** Where the length of the id stands in its field. */
const valueLengthAt = 5 + idName.length;
/** Pods, and prefixes of ids, whose encoded fields are kept; beyond, all are made anew. */
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

/** Writes the field of `event_id`: its prefixes are few, and what is in front of the number is made once for each. */
export class IdField {
  readonly #heads = new Map<string, Buffer>();

  /** Bytes of a row's field, for `write`. */
  length(view: EventBatchView, row: number): number {
    return this.#head(view.idPrefix(row)).length + decimalLength(view.idNumber(row));
  }

  /** Returns where it ends. */
  write(buffer: Buffer, start: number, view: EventBatchView, row: number): number {
    const head = this.#head(view.idPrefix(row));
    const number = view.idNumber(row);
    buffer.set(head, start);
    const at = start + head.length;
    const end = at + decimalLength(number);
    // Both lengths were left open; an id is shorter than the 100 bytes that they have room for.
    buffer[start + 1] = end - start - 2;
    buffer[start + valueLengthAt] = end - start - valueLengthAt - 1;
    if (typeof number === 'bigint') buffer.write(String(number), at, 'latin1');
    else writeDecimal(buffer, end, number);
    return end;
  }

  #head(prefix: string): Buffer {
    let head = this.#heads.get(prefix);
    if (head !== undefined) return head;
    if (this.#heads.size >= maxKept) this.#heads.clear();
    head = Buffer.from([
      metadataTag,
      0,
      nameTag,
      idName.length,
      ...Buffer.from(idName),
      valueTag,
      0,
      ...Buffer.from(`${prefix}-`, 'latin1'),
    ]);
    this.#heads.set(prefix, head);
    return head;
  }
}

function decimalLength(number: number | bigint): number {
  if (typeof number === 'bigint') return String(number).length;
  let digits = 1;
  for (let limit = 10; number >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes the digits of a whole number up to `end`. */
function writeDecimal(buffer: Buffer, end: number, number: number): void {
  let at = end;
  let rest = number;
  do {
    const tenth = Math.floor(rest / 10);
    buffer[--at] = 48 + (rest - tenth * 10);
    rest = tenth;
  } while (rest > 0);
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
