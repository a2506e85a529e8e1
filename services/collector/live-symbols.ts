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

/** The running kernel's symbols, read once; again when code of a module is asked for and the modules are others by now. */
export class LiveSymbols {
  readonly #files: SymbolFiles;
  #symbols: KernelSymbols | undefined;
  #modules: string;
  #nextReloadMs = 0;

  constructor(files: SymbolFiles = procFiles) {
    this.#files = files;
    this.#modules = this.#readModules();
    this.#symbols = this.#read();
  }

  /** Address of _stext; undefined where the kernel hides its symbols. */
  get stext(): bigint | undefined {
    return this.#symbols?.stext;
  }

  /** The function that a return address lies in; '' when none is known. */
  nameOf(offset: number): string {
    if (this.#symbols === undefined) return '';
    if (!this.#symbols.isOwn(offset)) this.#renew();
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

  #renew(): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextReloadMs) return;
    this.#nextReloadMs = nowMs + minReloadMs;
    const modules = this.#readModules();
    if (modules === this.#modules) return;
    this.#modules = modules;
    this.#symbols = this.#read() ?? this.#symbols;
  }

  #read(): KernelSymbols | undefined {
    try {
      return KernelSymbols.parse(readFileSync(this.#files.symbols));
    } catch {
      // No CONFIG_KALLSYMS, or /proc is not readable: places are told as numbers.
      return undefined;
    }
  }

  #readModules(): string {
    try {
      return readFileSync(this.#files.modules, 'utf8');
    } catch {
      // A kernel without modules.
      return '';
    }
  }
}
