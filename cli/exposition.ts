import type { Metric, MetricValue, Registry } from 'prom-client';
import { messageOf } from '../core/app-error.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import { Turn } from '../core/turn.ts';
import { labelsText } from '../services/sinks/prometheus/escape.ts';
import type { Family } from '../services/sinks/prometheus/family.ts';
import { headerText, render, type TextFormat } from '../services/sinks/prometheus/render.ts';

/** Time without a break for other work, ms. */
const turnMs = 5;
/** Small pieces go out together. */
const pieceBytes = 64 * 1024;

/** All that /metrics shows: the pipeline's own metrics, and the series of nodes and Pods. */
export class Exposition {
  readonly #registry: Registry;
  readonly #families: () => readonly Family[];
  readonly #log: Log;
  readonly #limiter = new LogLimiter();

  constructor(registry: Registry, families: () => readonly Family[], log: Log) {
    this.#registry = registry;
    this.#families = families;
    this.#log = log;
  }

  /** The text, in pieces. A metric that cannot be read is left out and logged: it takes no other with it. */
  async *text(format: TextFormat): AsyncGenerator<Buffer, void, undefined> {
    const own = await this.#ownText(format);
    const taken = new Set(this.#registry.getMetricsAsArray().map(({ name }) => name));
    let pieces: Buffer[] = [Buffer.from(own)];
    let bytes = own.length;
    const turn = new Turn(turnMs);
    const families = this.#families().toSorted((a, b) => (a.description.name < b.description.name ? -1 : 1));
    for (const family of families) {
      if (taken.has(family.description.name)) continue;
      await render(family);
      const { text } = family;
      if (text.every(({ length }) => length === 0)) continue;
      for (const piece of [Buffer.from(headerText(family.description, format)), ...text]) {
        pieces.push(piece);
        bytes += piece.length;
        if (bytes < pieceBytes) continue;
        yield Buffer.concat(pieces);
        pieces = [];
        bytes = 0;
      }
      if (turn.isOver()) await turn.next();
    }
    if (format === 'openmetrics') pieces.push(Buffer.from('# EOF\n'));
    yield Buffer.concat(pieces);
  }

  async #ownText(format: TextFormat): Promise<string> {
    let text = '';
    for (const metric of this.#registry.getMetricsAsArray()) {
      try {
        text += await ownText(metric as unknown as Metric, format);
      } catch (thrown) {
        const { name } = metric;
        this.#limiter.once(name, (heldBack) =>
          this.#log.error({ code: 'METRICS_UNREADABLE', name, heldBack }, `a metric cannot be read: ${messageOf(thrown)}`),
        );
      }
    }
    return text;
  }
}

/** A metric of prom-client; a value of a histogram has a name of its own: its bucket's, its sum's. */
async function ownText(metric: Metric, format: TextFormat): Promise<string> {
  const { name, help, type, values } = await metric.get();
  if (values.length === 0) return '';
  let text = headerText({ name, help, type: typeOf(String(type)) }, format);
  for (const { labels, value, metricName = name } of values as (MetricValue<string> & { readonly metricName?: string })[]) {
    const names = Object.keys(labels);
    const between = labelsText(
      names,
      names.map((label) => String(labels[label])),
    );
    text += `${metricName}${between === '' ? '' : `{${between}}`} ${value}\n`;
  }
  return text;
}

function typeOf(type: string): 'counter' | 'gauge' | 'histogram' {
  return type === 'counter' || type === 'histogram' ? type : 'gauge';
}
