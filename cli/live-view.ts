import type { Writable } from 'node:stream';
import { messageOf } from '../core/app-error.ts';
import type { Bus } from '../core/bus/bus.ts';
import type { Log } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { linesOf } from './event-feed.ts';
import { LivePrinter } from './live-printer.ts';

/** Shows the events of a process from the moment it is made until `finish`. */
export class LiveView {
  readonly #bus: Bus;
  readonly #partition: number;
  readonly #log: Log;
  readonly #printer: LivePrinter;
  readonly #ending = new AbortController();
  readonly #life: Promise<void>;
  /** Offset up to which everything was shown. */
  #shownTo = 0;
  #missed = 0;
  #finished: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  private constructor(bus: Bus, json: boolean, out: Writable, log: Log, partition: number, from: number) {
    this.#bus = bus;
    this.#partition = partition;
    this.#log = log;
    this.#printer = new LivePrinter(json, out);
    this.#shownTo = from;
    this.#life = this.#show(from).catch((thrown: unknown) =>
      log.warn({ code: 'LIVE_VIEW_ENDED', cause: messageOf(thrown) }, 'the live view ended'),
    );
  }

  static async start(bus: Bus, json: boolean, out: Writable, log: Log, partition = 0): Promise<LiveView> {
    const { next } = await bus.offsets(topics.events, partition);
    return new LiveView(bus, json, out, log, partition, next);
  }

  /** Shows what is in the bus by now; at most until the signal aborts, which is logged with what was not shown. */
  finish(signal: AbortSignal): Promise<void> {
    this.#finished ??= this.#finish(signal);
    return this.#finished;
  }

  async #finish(signal: AbortSignal): Promise<void> {
    const { next } = await this.#bus.offsets(topics.events, this.#partition);
    const life = this.#life.then(() => true);
    const aborted = new Promise<boolean>((resolve) => signal.addEventListener('abort', () => resolve(true), { once: true }));
    let over = signal.aborted;
    while (!over && this.#shownTo < next) {
      const progress = new Promise<boolean>((resolve) => {
        this.#wake = () => resolve(false);
      });
      over = await Promise.race([progress, life, aborted]);
    }
    this.#ending.abort();
    await this.#life;
    this.#printer.end();
    const batches = this.#missed + Math.max(0, next - this.#shownTo);
    if (batches > 0)
      this.#log.warn(
        { code: 'LIVE_VIEW_TOO_SLOW', batches },
        'not all events were shown: the reader of standard output was too slow. The files hold all of them.',
      );
  }

  async #show(from: number): Promise<void> {
    const { signal } = this.#ending;
    for await (const fetch of this.#bus.read(topics.events, this.#partition, from, { signal })) {
      for (const hole of fetch.holes) this.#missed += hole.to - hole.from;
      for (const message of fetch.messages) {
        for (const line of linesOf(message.value, {})) await this.#printer.show(line, signal);
        if (signal.aborted) return;
        this.#shownTo = message.offset + 1;
      }
      this.#shownTo = fetch.next;
      this.#wake();
    }
  }
}
