/** Part of a function's code. */
export interface CodeRange {
  /** Distance of its first byte from _stext, modulo 2^32: modules may lie below. */
  readonly start: number;
  readonly bytes: number;
}

const addressDigits = 16;
const newline = 10;
const tab = 9;
const dot = 46;
/** Types of /proc/kallsyms that are code: t T w W. */
const codeTypes = new Set(Buffer.from('tTwW'));
const two32 = 2 ** 32;
/** Index and distance of a symbol in one number that sorts: 2^21 symbols. */
const indexBits = 2 ** 21;

/**
 * Functions of the running kernel by their place in its code: two typed arrays and one buffer of names instead of an
 * object per symbol. Suffixes that compilers add (.cold, .isra.0) are left out.
 */
export class KernelSymbols {
  /** Address of _stext. */
  readonly stext: bigint;
  /** Rising distances from _stext. */
  readonly #offsets: Uint32Array;
  /** Where each one's name begins in `#names`. */
  readonly #nameAt: Uint32Array;
  readonly #nameLength: Uint8Array;
  readonly #names: Buffer;
  /** Distance of _etext: code below it is the kernel's own and never changes. */
  readonly #ownBytes: number;

  private constructor(stext: bigint, symbols: Symbols, order: Float64Array) {
    this.stext = stext;
    this.#names = Buffer.from(symbols.names.subarray(0, symbols.nameBytes));
    this.#offsets = Uint32Array.from(order, (key) => Math.floor(key / indexBits));
    this.#nameAt = Uint32Array.from(order, (key) => symbols.nameAt[key % indexBits]);
    this.#nameLength = Uint8Array.from(order, (key) => symbols.nameLength[key % indexBits]);
    this.#ownBytes = symbols.etext === undefined ? 0 : (symbols.etext - Number(stext % BigInt(two32)) + two32) % two32;
  }

  /** @param kallsyms /proc/kallsyms; undefined when it has no addresses */
  static parse(kallsyms: Buffer): KernelSymbols | undefined {
    const symbols = symbolsOf(kallsyms);
    if (symbols.stext === undefined || symbols.stext === 0n) return undefined;
    const base = Number(symbols.stext % BigInt(two32));
    const order = Float64Array.from({ length: symbols.count }, (_, index) => {
      return ((symbols.low[index] - base + two32) % two32) * indexBits + index;
    }).sort();
    return new KernelSymbols(symbols.stext, symbols, order);
  }

  get size(): number {
    return this.#offsets.length;
  }

  /** Whether code at this distance is the kernel's own, not a module's that may go and come. */
  isOwn(offset: number): boolean {
    return offset < this.#ownBytes;
  }

  /** The function that a return address lies in; '' when none is known. */
  nameOf(offset: number): string {
    const at = this.#indexOf((offset - 1) >>> 0);
    // Behind the last symbol there is no telling where its function ends.
    return at < 0 || at === this.size - 1 ? '' : this.#name(at);
  }

  /** All parts of a function, or of several of that name. */
  ranges(name: string): CodeRange[] {
    const bytes = Buffer.from(name);
    const ranges: CodeRange[] = [];
    for (let at = 0; at < this.size - 1; at++) {
      if (this.#nameLength[at] !== bytes.length) continue;
      const start = this.#nameAt[at];
      if (this.#names.compare(bytes, 0, bytes.length, start, start + bytes.length) !== 0) continue;
      ranges.push({ start: this.#offsets[at], bytes: this.#offsets[at + 1] - this.#offsets[at] });
    }
    return ranges;
  }

  /** Index of the last symbol at or before a place; -1: none. */
  #indexOf(offset: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsets[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #name(at: number): string {
    const start = this.#nameAt[at];
    return this.#names.toString('latin1', start, start + this.#nameLength[at]);
  }
}

/** Symbols in the order of the file. */
interface Symbols {
  stext: bigint | undefined;
  /** Low word of the address of _etext. */
  etext: number | undefined;
  count: number;
  /** Low words of the addresses. */
  readonly low: Uint32Array;
  readonly nameAt: Uint32Array;
  readonly nameLength: Uint8Array;
  readonly names: Buffer;
  nameBytes: number;
}

function symbolsOf(text: Buffer): Symbols {
  // A line has at least 16 digits, two spaces, a type, a character and its end.
  const most = Math.min(indexBits, Math.ceil(text.length / (addressDigits + 5)));
  const symbols: Symbols = {
    ...{ stext: undefined, etext: undefined, count: 0, nameBytes: 0 },
    low: new Uint32Array(most),
    nameAt: new Uint32Array(most),
    nameLength: new Uint8Array(most),
    names: Buffer.alloc(text.length),
  };
  for (let at = 0; at + addressDigits + 4 < text.length && symbols.count < most; ) {
    const nameAt = at + addressDigits + 3;
    let end = nameAt;
    while (end < text.length && text[end] !== newline && text[end] !== tab) end++;
    if (codeTypes.has(text[at + addressDigits + 1])) addSymbol(symbols, text, at, nameAt, end);
    while (end < text.length && text[end] !== newline) end++;
    at = end + 1;
  }
  return symbols;
}

function addSymbol(symbols: Symbols, text: Buffer, at: number, nameAt: number, end: number): void {
  const low = hex(text, at + 8, at + addressDigits);
  let last = nameAt + 1;
  while (last < end && text[last] !== dot) last++;
  const length = Math.min(last - nameAt, 255);
  const name = length === 6 ? text.toString('latin1', nameAt, last) : '';
  if (name === '_stext') symbols.stext = BigInt(`0x${text.toString('latin1', at, at + addressDigits)}`);
  else if (name === '_etext') symbols.etext = low;
  symbols.low[symbols.count] = low;
  symbols.nameAt[symbols.count] = symbols.nameBytes;
  symbols.nameLength[symbols.count++] = length;
  text.copy(symbols.names, symbols.nameBytes, nameAt, nameAt + length);
  symbols.nameBytes += length;
}

function hex(text: Buffer, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text[at];
    value = value * 16 + (digit <= 57 ? digit - 48 : (digit | 32) - 87);
  }
  return value >>> 0;
}
