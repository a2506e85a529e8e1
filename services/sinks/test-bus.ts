import type { Bus, Commit, ConsumeOptions, Consumer, Fetch, Hole, Message, ReadOptions } from '../../core/bus/bus.ts';

/** What a bus has on disk: outlives any number of `TestBus`es over it. */
export class TestBusData {
  /** Messages by `topic/partition`; undefined where a message is damaged. */
  readonly topics = new Map<string, (Uint8Array | undefined)[]>();
  readonly commits = new Map<string, Commit>();

  messages(topic: string, partition: number): (Uint8Array | undefined)[] {
    const key = `${topic}/${partition}`;
    const found = this.topics.get(key) ?? [];
    this.topics.set(key, found);
    return found;
  }
}

/** Kills a life at a chosen step: from then on nothing takes effect and nothing answers. */
export class Life {
  readonly died: Promise<void>;
  #steps: number;
  #die = (): void => undefined;
  #isDead = false;

  /** @param steps Effects until the kill; each has a step before and one behind it. */
  constructor(steps: number) {
    this.#steps = steps;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  /** One asynchronous effect on what outlives the process. */
  async run<Result>(effect: () => Promise<Result>): Promise<Result> {
    await this.#step();
    const result = await effect();
    await this.#step();
    return result;
  }

  #step(): Promise<void> {
    if (this.#isDead || this.#steps-- <= 0) {
      this.#isDead = true;
      this.#die();
      return new Promise(() => undefined);
    }
    return Promise.resolve();
  }
}

/** A bus in memory with one partition a topic, for tests of kills: fetches of `perFetch` messages. */
export class TestBus implements Bus {
  readonly #data: TestBusData;
  readonly #life: Life;
  readonly #perFetch: number;

  constructor(data: TestBusData, life: Life, perFetch: number) {
    this.#data = data;
    this.#life = life;
    this.#perFetch = perFetch;
  }

  partitions(): number {
    return 1;
  }

  append(topic: string, partition: number, values: readonly Uint8Array[]): Promise<number> {
    return this.#life.run(async () => this.#data.messages(topic, partition).push(...values) - values.length);
  }

  async offsets(topic: string, partition: number) {
    return { earliest: 0, next: this.#data.messages(topic, partition).length };
  }

  async *read(topic: string, partition: number, from: number, { until = Number.POSITIVE_INFINITY }: ReadOptions): AsyncIterable<Fetch> {
    const all = this.#data.messages(topic, partition);
    for (let next = from; next < Math.min(until, all.length); ) {
      const to = Math.min(next + this.#perFetch, until, all.length);
      const messages: Message[] = [];
      const holes: Hole[] = [];
      for (let offset = next; offset < to; offset++) {
        const value = all[offset];
        if (value === undefined) holes.push({ from: offset, to: offset + 1, reason: 'damaged' });
        else messages.push({ offset, value });
      }
      yield { topic, partition, messages, holes, next: to };
      next = to;
    }
  }

  async consume({ group, topic, assigned, handle }: ConsumeOptions): Promise<Consumer> {
    const key = `${group}/${topic}`;
    const committed = this.#data.commits.get(key);
    const work = async () => {
      await assigned?.(0, committed);
      for await (const fetch of this.read(topic, 0, committed?.offset ?? 0, {})) await handle(fetch, new AbortController().signal);
    };
    return {
      commit: (_partition, commit) => this.#life.run(async () => void this.#data.commits.set(key, commit)),
      lag: async () => new Map(),
      finished: work(),
      close: async () => undefined,
    };
  }

  async committed(group: string, topic: string): Promise<Commit | undefined> {
    return this.#data.commits.get(`${group}/${topic}`);
  }

  async commit(): Promise<void> {}
  async checkpointed(): Promise<void> {}
  async close(): Promise<void> {}
}
