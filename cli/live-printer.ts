import type { Writable } from 'node:stream';
import pc from 'picocolors';
import { printableJson } from '../core/printable.ts';
import { eventText } from './event-text.ts';
import { isFinding } from './finding-text.ts';
import { writeAll } from './output.ts';

/** Lines that a person can follow; what is beyond is counted and lies in the files. */
const maxLinesPerSecond = 40;

/** Shows events as they come. JSON and findings are never left out: they wait for their reader. Text of events is left out, and counted. */
export class LivePrinter {
  readonly #json: boolean;
  readonly #out: Writable & { readonly isTTY?: boolean };
  #second = 0;
  #shown = 0;
  #hidden = 0;

  constructor(json: boolean, out: Writable) {
    this.#json = json;
    this.#out = out;
  }

  /** Resolves when the next one may be shown, or the signal aborts. */
  async show(line: string, signal?: AbortSignal): Promise<void> {
    if (this.#json) {
      await writeAll(this.#out, `${this.#out.isTTY === true ? printableJson(line) : line}\n`, signal);
      return;
    }
    if (isFinding(line)) {
      // Few, and what one looks for: none is left out.
      await writeAll(this.#out, `${eventText(line)}\n`, signal);
      return;
    }
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      if (!this.#out.writableNeedDrain) this.end();
      this.#second = second;
      this.#shown = 0;
    }
    if (this.#shown < maxLinesPerSecond && !this.#out.writableNeedDrain) {
      this.#shown++;
      this.#out.write(`${eventText(line)}\n`);
    } else this.#hidden++;
  }

  /** Tells what was not shown. */
  end(): void {
    if (this.#hidden > 0) this.#out.write(pc.dim(`... and ${this.#hidden} more: the sinks deliver all of them\n`));
    this.#hidden = 0;
  }
}
