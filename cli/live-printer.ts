import pc from 'picocolors';
import { eventText } from './event-text.ts';

/** Lines that a person can follow; what is beyond is counted and lies in the files. */
const maxLinesPerSecond = 40;

/** Shows events on standard output as they come. JSON is never left out. */
export class LivePrinter {
  readonly #json: boolean;
  #second = 0;
  #shown = 0;
  #hidden = 0;

  constructor(json: boolean) {
    this.#json = json;
  }

  show(line: string): void {
    if (this.#json) {
      process.stdout.write(`${line}\n`);
      return;
    }
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.end();
      this.#second = second;
      this.#shown = 0;
    }
    if (this.#shown++ < maxLinesPerSecond) process.stdout.write(`${eventText(line)}\n`);
    else this.#hidden++;
  }

  /** Tells what was not shown. */
  end(): void {
    if (this.#hidden > 0) process.stdout.write(pc.dim(`... and ${this.#hidden} more: all of them are in the files\n`));
    this.#hidden = 0;
  }
}
