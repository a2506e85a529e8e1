import type { EventNames } from '../../../../bpf/event.ts';
import type { Probe } from '../../../../bpf/probe.ts';
import { recordFlags, recordOffsets } from '../../../../schema/record.gen.ts';
import { RecordReader } from '../../../../schema/record.ts';
import { type RecordFields, writeRecord } from '../../../../schema/record-writer.ts';
import { recordNamesOf } from '../language/record-names.ts';

/** Where the words lie that a probe gives its own meaning: code, v[0..2], x[0..15]; [byte offset, bytes]. */
const words: readonly (readonly [at: number, bytes: 4 | 8])[] = [
  [recordOffsets.code, 4],
  ...[0, 1, 2].map((index) => [recordOffsets.v + index * 4, 4] as const),
  ...Array.from({ length: 16 }, (_, index) => [recordOffsets.x + index * 8, 8] as const),
];
/** State and protocol of the socket may decide, too. */
const numbersTried = 4200;

/** What gives a record the value that a test asks for: bytes at an offset. */
export interface RecordPatch {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Names that a record refers to by number, as the node's keyframe tells them. */
export interface NodeNames {
  /** Number of a name in a kernel enumeration, given on its first use. */
  enumValue(enumeration: string, name: string): number;
  /** Place of a function in the kernel's code, given on its first use. */
  symbolOffset(name: string): number;
}

/**
 * Finds which word of a probe's record says a number or a text, by trying: the probe's own functions are asked, so that
 * nothing is written down twice. Texts that the kernel's enumerations name get a number of the test's own.
 */
export class RecordSolver {
  readonly #probe: Probe;
  /** A record of the variant in which nothing is said yet. */
  readonly #plain: Uint8Array;
  readonly #reader = new RecordReader();
  readonly #solved = new Map<string, RecordPatch | undefined>();

  constructor(probe: Probe, variant: number) {
    this.#probe = probe;
    this.#plain = patchedRecord({ probe: probe.number, variant, flags: recordFlags.SOCK, proto: 6, family: 2 }, []);
  }

  /** Where a number is read from; undefined: records of the variant do not have it. */
  number(name: string, value: number): RecordPatch | undefined {
    const word = this.#cached(`number ${name}`, () => this.#wordOf(name));
    if (word === undefined) return undefined;
    return { at: word.at, bytes: wordBytes(value, word.bytes.length as 4 | 8) };
  }

  /** What makes a record say a text; undefined: none of its words does. */
  text(name: string, text: string, names: NodeNames): RecordPatch | undefined {
    const own = this.#cached(`text ${name} ${text}`, () => this.#byNumber(name, text) ?? this.#byBytes(name, text));
    return own ?? this.#byName(name, text, names);
  }

  #cached(key: string, solve: () => RecordPatch | undefined): RecordPatch | undefined {
    if (!this.#solved.has(key)) this.#solved.set(key, solve());
    return this.#solved.get(key);
  }

  #wordOf(name: string): RecordPatch | undefined {
    const read = recordNamesOf(this.#probe).numbers.find((one) => one.name === name)?.read;
    if (read === undefined) return undefined;
    // Each word holds a number of its own; the code stays small, since it may decide what the others mean.
    const sentinelOf = (index: number, plus: number): number => (index === 0 ? 1 : 5000 + index) + plus;
    const readWith = (plus: number): number =>
      read(this.#record(words.map(([at, bytes], index) => ({ at, bytes: wordBytes(sentinelOf(index, plus), bytes) }))), noNames);
    const found = words.findIndex((_, index) => readWith(0) === sentinelOf(index, 0) && readWith(1) === sentinelOf(index, 1));
    const word = words[found];
    return word === undefined ? undefined : { at: word[0], bytes: wordBytes(0, word[1]) };
  }

  /** A number of a word that the probe itself has a name for. */
  #byNumber(name: string, text: string): RecordPatch | undefined {
    const read = this.#textReader(name);
    for (const [at, bytes] of words) {
      // A text that no number of the word changes is not read from it.
      const isRead =
        read(this.#record([{ at, bytes: wordBytes(1, bytes) }]), noNames) !==
        read(this.#record([{ at, bytes: wordBytes(4, bytes) }]), noNames);
      if (!isRead) continue;
      for (let value = 0; value < numbersTried; value++) {
        const patch = { at, bytes: wordBytes(value, bytes) };
        if (read(this.#record([patch]), noNames) === text && text !== String(value)) return patch;
      }
    }
    return undefined;
  }

  /** A number that the node's kernel has a name for: an enumeration's value, or a function. */
  #byName(name: string, text: string, names: NodeNames): RecordPatch | undefined {
    const read = this.#textReader(name);
    for (const [index, [at, bytes]] of words.entries()) {
      const sentinel = 5000 + index;
      let found: number | undefined;
      const spy: EventNames = {
        ...noNames,
        enumName: (enumeration, value) => {
          if (value === sentinel) found = names.enumValue(enumeration, text);
          return undefined;
        },
        symbol: (offset) => {
          if (offset === sentinel) found = names.symbolOffset(text);
          return undefined;
        },
      };
      read(this.#record([{ at, bytes: wordBytes(sentinel, bytes) }]), spy);
      if (found !== undefined) return { at, bytes: wordBytes(found, bytes) };
    }
    return undefined;
  }

  /** Bytes of the tail. */
  #byBytes(name: string, text: string): RecordPatch | undefined {
    const read = this.#textReader(name);
    const bytes = Buffer.from(`${text}\0`);
    for (const [at] of words.slice(4)) {
      if (at + bytes.length > recordOffsets.x + 128) break;
      if (read(this.#record([{ at, bytes }]), noNames) === text) return { at, bytes };
    }
    return undefined;
  }

  #textReader(name: string): (record: RecordReader, names: EventNames) => string {
    return recordNamesOf(this.#probe).texts.find((one) => one.name === name)?.read ?? (() => '');
  }

  #record(patches: readonly RecordPatch[]): RecordReader {
    this.#reader.reset(patched(this.#plain.slice(), patches));
    this.#reader.next();
    return this.#reader;
  }
}

/** A record with a full tail, some bytes of which are replaced. */
export function patchedRecord(fields: RecordFields, patches: readonly RecordPatch[]): Uint8Array {
  return patched(writeRecord({ ...fields, tail: new Uint8Array(128) }), patches);
}

function patched(record: Uint8Array, patches: readonly RecordPatch[]): Uint8Array {
  for (const { at, bytes } of patches) record.set(bytes, at);
  return record;
}

function wordBytes(value: number, bytes: 4 | 8): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setUint32(0, value, true);
  else view.setBigUint64(0, BigInt(Math.trunc(value)), true);
  return new Uint8Array(view.buffer);
}

const noNames: EventNames = { local: '', far: '', origin: '', enumName: () => undefined, symbol: () => undefined, stack: () => undefined };
