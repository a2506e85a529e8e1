import { type RawBody, RawMessage } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type RecordBatch } from '../../proto/collect.ts';
import type { Random } from './random.ts';

/** Item and message numbers that code likes to get wrong. Few are huge: sums over all sessions stay exact doubles. */
const numbers = [0, 1, 2, 127, 128, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 36];
/** No safe integers, or none that a u64 holds. */
const absurdNumbers = [2 ** 53, 2 ** 53 + 2, 2 ** 60, 2 ** 63, 2 ** 64 - 2048, -1, 0.5];
const texts = [
  '',
  'a',
  '\0',
  '"',
  '\\',
  '\u2028',
  '💥',
  '\ud800',
  'x'.repeat(300),
  '__proto__',
  'constructor',
  '{"a":1}\n{"b":2}',
  '../..',
];

/** Makes messages that no honest collector would send, out of good ones. */
export class HostileMessages {
  readonly #random: Random;
  readonly #good: readonly Uint8Array[];
  /** A node may only write as itself: there are as many hostile ones as there are certificates. */
  readonly #nodes = Array.from({ length: 12 }, (_, index) => `hostile-${index}`);

  /** @param good raw messages to start from */
  constructor(random: Random, good: readonly Uint8Array[]) {
    this.#random = random;
    this.#good = good;
  }

  /** A raw message as it might stand in the log: never of a session of the good messages. */
  raw(): Uint8Array {
    const random = this.#random;
    switch (random.integer(0, 8)) {
      case 0:
        return this.#bytes(random.integer(0, 400));
      case 1:
        return this.#flipped(this.#wrap(this.#goodMessage()));
      case 2:
        return this.#cut(this.#wrap(this.#goodMessage()));
      case 3:
        return this.#wrap(this.#flipped(this.#goodMessage()));
      case 4:
        return this.#wrap(this.#goodMessage());
      case 5:
        return RawMessage.encode({ tick: { number: this.#number() }, appended: this.#appended() }).finish();
      default:
        return this.#wrap(this.collectorMessage());
    }
  }

  /** A collector's message with a sound encoding and absurd contents, or one that is broken; numbered, if its number is to be sound. */
  collectorMessage(seq = this.#number()): Uint8Array {
    const random = this.#random;
    if (random.integer(0, 8) === 0) return this.#flipped(this.#goodMessage());
    if (random.integer(0, 12) === 0) return this.#bytes(random.integer(0, 200));
    return CollectorMessage.encode({ seq, ...this.#body() }).finish();
  }

  #body(): CollectorBody {
    const random = this.#random;
    switch (random.integer(0, 7)) {
      case 0:
        return {
          keyframe: {
            nextItem: this.#number(),
            part: random.integer(0, 9),
            parts: random.integer(0, 3),
            identity: { netns: this.#netns() },
            enums: this.#enums(),
            firstOffset: this.#offset(),
          },
        };
      case 1:
        return { identity: { netns: this.#netns() } };
      case 2:
        return { heartbeat: { bootNs: this.#number(), nextItem: this.#number(), clockOffset: this.#offset() } };
      case 3:
        return { replayed: this.#bytes(random.integer(0, 64)) };
      case 4:
        return { hello: { node: this.#pick(texts), session: this.#bytes(random.integer(0, 40)) } };
      default:
        return { batch: this.#batch() };
    }
  }

  #batch(): RecordBatch {
    const random = this.#random;
    const records = this.#records();
    const honest = Math.floor(records.length / 128);
    return {
      firstItem: this.#number(),
      count: random.integer(0, 3) === 0 ? random.integer(0, 2 ** 32) : Math.max(0, honest - random.integer(0, 3)),
      records,
      skipped: Array.from({ length: random.integer(0, 3) }, () => ({
        firstItem: this.#number(),
        count: random.integer(0, 100_000),
        reason: this.#pick(texts),
      })),
      kernelLosses: Array.from({ length: random.integer(0, 3) }, () => ({
        probe: random.integer(0, 70_000),
        count: random.integer(0, 1e6),
        reason: this.#pick(texts),
      })),
      clockOffset: this.#offset(),
    };
  }

  /** Good records with some bytes turned, or none that ever were records. */
  #records(): Buffer {
    const random = this.#random;
    if (random.integer(0, 4) === 0) return Buffer.from(this.#bytes(random.integer(0, 1000)));
    const batch = CollectorMessage.decode(this.#goodMessage()).batch;
    const records = Buffer.from((batch?.records ?? new Uint8Array(0)).subarray(0, random.integer(1, 30) * 64));
    for (let turns = random.integer(0, 6); turns > 0 && records.length > 0; turns--)
      records[random.integer(0, records.length)] = random.integer(0, 256);
    return records;
  }

  #netns() {
    const random = this.#random;
    return Array.from({ length: random.integer(0, 4) }, () => ({
      cookie: this.#number(),
      inode: this.#number(),
      names: Array.from({ length: random.integer(0, 3) }, () => this.#pick(texts)),
      processes: Array.from({ length: random.integer(0, 3) }, () => ({ pid: random.integer(0, 2 ** 32), comm: this.#pick(texts) })),
      addresses: Array.from({ length: random.integer(0, 3) }, () => this.#bytes(random.integer(0, 3) === 0 ? random.integer(0, 20) : 16)),
      fromBootNs: this.#number(),
      toBootNs: this.#number(),
      host: random.integer(0, 2) === 0,
    }));
  }

  #enums() {
    const random = this.#random;
    const name = random.integer(0, 2) === 0 ? 'sk_rst_reason' : this.#pick(texts);
    return [
      { name, values: Array.from({ length: random.integer(0, 4) }, () => ({ value: random.integer(0, 40), name: this.#pick(texts) })) },
    ];
  }

  #offset() {
    const random = this.#random;
    return {
      seconds: this.#pick([0, 1, -1, 1_795_000_000, 2 ** 40, -(2 ** 40), 2 ** 53]),
      nanos: random.integer(0, 3) === 0 ? random.integer(0, 2 ** 32) : random.integer(0, 1e9),
    };
  }

  #appended(): NonNullable<RawBody['appended']> | null {
    const random = this.#random;
    if (random.integer(0, 4) === 0) return null;
    return { seconds: this.#pick([0, -1, 1_795_000_000, 2 ** 40, 2 ** 60]), nanos: random.integer(0, 2 ** 32) };
  }

  /** A raw message of a hostile node around a collector's bytes. */
  #wrap(message: Uint8Array): Uint8Array {
    const random = this.#random;
    const session = Buffer.alloc(random.integer(0, 40) === 0 ? random.integer(0, 40) : 16, random.integer(0, 40));
    const node = random.integer(0, 40) === 0 ? this.#pick(texts) : this.#pick(this.#nodes);
    return RawMessage.encode({ appended: this.#appended(), node, session, message }).finish();
  }

  #goodMessage(): Uint8Array {
    return RawMessage.decode(this.#pick(this.#good)).message;
  }

  #flipped(bytes: Uint8Array): Uint8Array {
    const random = this.#random;
    const copy = Uint8Array.from(bytes);
    for (let flips = random.integer(1, 4); flips > 0 && copy.length > 0; flips--)
      copy[random.integer(0, copy.length)] ^= 1 << random.integer(0, 8);
    return copy;
  }

  #cut(bytes: Uint8Array): Uint8Array {
    return bytes.subarray(0, this.#random.integer(0, bytes.length + 1));
  }

  #bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.integer(0, 256));
  }

  #number(): number {
    return this.#random.integer(0, 20) === 0 ? this.#pick(absurdNumbers) : this.#pick(numbers);
  }

  #pick<Value>(values: readonly Value[]): Value {
    return values[this.#random.integer(0, values.length)];
  }
}
