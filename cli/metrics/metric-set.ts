import { Counter, Gauge, type Registry } from 'prom-client';

type Labels = Readonly<Record<string, string>>;
/** One series of a metric. */
export type Sample = readonly [labels: Labels, value: number];
type Read = () => Iterable<Sample> | Promise<Iterable<Sample>>;

/** The pipeline's own metrics: read from plain numbers when somebody asks, never counted per record. */
export class MetricSet {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  counter(name: string, help: string, labelNames: readonly string[], read: Read): void {
    new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        const samples = await read();
        this.reset();
        for (const [labels, value] of samples) this.inc(labels, value);
      },
    });
  }

  gauge(name: string, help: string, labelNames: readonly string[], read: Read): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        const samples = await read();
        this.reset();
        for (const [labels, value] of samples) this.set(labels, value);
      },
    });
  }
}

/** Counts by reason as series of one metric. */
export function byReason(counts: Readonly<Record<string, number>>, labels: Labels): Sample[] {
  return Object.entries(counts).map(([reason, n]) => [{ ...labels, reason }, n]);
}
