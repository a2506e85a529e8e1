import { readFileSync } from 'node:fs';
import type { KernelNames } from '../../bpf/probe.ts';
import type { Native } from '../../native/addon.ts';
import { KernelSymbols } from './kernel-symbols.ts';

/** Where the kernel tells its symbols, and its modules. */
export interface SymbolFiles {
  readonly symbols: string;
  readonly modules: string;
}

const procFiles: SymbolFiles = { symbols: '/proc/kallsyms', modules: '/proc/modules' };
/** Reading all symbols takes some 100 ms: modules that come and go cause it at most this often. */
const minReloadMs = 60_000;
/** What is asked in one go is answered by one look at the modules. */
const modulesCheckMs = 10;

/** The running kernel's symbols, read once; again when code of a module is asked for and the modules are others by now. */
export class LiveSymbols {
  readonly #files: SymbolFiles;
  #symbols: KernelSymbols | undefined;
  #modules: string;
  #nextReloadMs = 0;
  #checkedMs = -Infinity;
  #current = true;

  constructor(files: SymbolFiles = procFiles) {
    this.#files = files;
    this.#modules = this.#readModules();
    this.#symbols = this.#read();
  }

  /** Address of _stext; undefined where the kernel hides its symbols. */
  get stext(): bigint | undefined {
    return this.#symbols?.stext;
  }

  /** The function that a return address lies in; '' when none is known (yet): then it is worth asking again later. */
  nameOf(offset: number): string {
    if (this.#symbols === undefined) return '';
    // Among modules that came or went the nearest symbol may be another module's.
    if (!this.#symbols.isOwn(offset) && !this.#areCurrent()) return '';
    return this.#symbols.nameOf(offset);
  }

  /** What probes ask of the kernel's names. */
  namesFor(native: Pick<Native, 'enumValues'>): KernelNames {
    return {
      stext: this.stext,
      codeOf: (name) => this.#symbols?.ranges(name) ?? [],
      enumValues: (enumeration) => native.enumValues(enumeration),
    };
  }

  /** Whether the symbols are those of the modules that are loaded now. */
  #areCurrent(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#checkedMs < modulesCheckMs) return this.#current;
    this.#checkedMs = nowMs;
    const modules = this.#readModules();
    this.#current = modules === this.#modules;
    if (this.#current || nowMs < this.#nextReloadMs) return this.#current;
    this.#nextReloadMs = nowMs + minReloadMs;
    const symbols = this.#read();
    if (symbols === undefined) return false;
    this.#symbols = symbols;
    this.#modules = modules;
    this.#current = true;
    return true;
  }

  #read(): KernelSymbols | undefined {
    try {
      return KernelSymbols.parse(readFileSync(this.#files.symbols));
    } catch {
      // No CONFIG_KALLSYMS, or /proc is not readable: places are told as numbers.
      return undefined;
    }
  }

  /** Name, size and address of each module: how often they are used and by whom changes all the time. */
  #readModules(): string {
    try {
      const lines = readFileSync(this.#files.modules, 'utf8').split('\n');
      return lines.map((line) => line.replace(/^(\S+ \S+) .*( 0x\S+).*$/, '$1$2')).join('\n');
    } catch {
      // A kernel without modules.
      return '';
    }
  }
}
