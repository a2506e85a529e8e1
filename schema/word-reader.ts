import { Reader } from 'protobufjs/minimal.js';

/** Words kept: a power of two. */
const maxKept = 16_384;
/** Longer ones come seldom more than once. */
const maxLength = 64;

/** Words that were read before, each at the place that its hash names; a later one takes the place. */
const kept: (string | undefined)[] = new Array<undefined>(maxKept).fill(undefined);

/**
 * Reads a message whose strings come again from message to message, as the Pods in dictionaries do: a word that was read before
 * is the same string again. Reader itself makes each anew, by concatenation: whoever looks it up in a Map pays for that once more.
 */
export class WordReader extends Reader {
  override stringVerify(): string {
    const start = this.pos;
    const length = this.uint32();
    const from = this.pos;
    if (length > 0 && length <= maxLength && from + length <= this.len) {
      const word = knownWord(this.buf, from, from + length);
      if (word !== undefined) {
        this.pos = from + length;
        return word;
      }
    }
    this.pos = start;
    return super.stringVerify();
  }
}

/** The word in these bytes; undefined where they are not ASCII. */
function knownWord(bytes: Uint8Array, from: number, to: number): string | undefined {
  let hash = 0x811c9dc5;
  let all = 0;
  for (let at = from; at < to; at++) {
    all |= bytes[at];
    hash = Math.imul(hash ^ bytes[at], 0x01000193);
  }
  if (all > 0x7f) return undefined;
  const place = (hash ^ (hash >>> 15)) & (maxKept - 1);
  const before = kept[place];
  if (before !== undefined && isWord(before, bytes, from, to)) return before;
  const word = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
  kept[place] = word;
  return word;
}

function isWord(word: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (word.length !== to - from) return false;
  for (let index = 0; index < word.length; index++) if (word.charCodeAt(index) !== bytes[from + index]) return false;
  return true;
}
