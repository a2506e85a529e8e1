import { MetricBatch } from '../../../proto/bus.ts';
import { describeMetric } from '../../../schema/metrics.ts';

interface Shown {
  value: number;
  ended: boolean;
  /** In the newest keyframe, or since. */
  told: boolean;
}

/** Reads MetricBatches as a sink does, and notes what must not be. */
export class MetricTotals {
  /** By `source field{labels}`. */
  readonly values = new Map<string, Shown>();
  readonly faults: string[] = [];
  readonly #increase = new Map<string, number>();
  #origin = [-1, -1];

  take(bytes: Uint8Array): void {
    const { rawOffset, ordinal, layouts, groups, keyframe, part, parts } = MetricBatch.decode(bytes);
    const origin = [rawOffset ?? 0, ordinal ?? 0];
    if (origin[0] < this.#origin[0] || (origin[0] === this.#origin[0] && origin[1] <= this.#origin[1]))
      this.faults.push(`origin ${origin.join(':')} behind ${this.#origin.join(':')}`);
    this.#origin = origin;
    if (bytes.length > 256 * 1024) this.faults.push(`a message of ${bytes.length} bytes`);
    if (keyframe && part === 0) for (const shown of this.values.values()) shown.told = false;
    if (keyframe && (part ?? 0) >= (parts ?? 0)) this.faults.push(`part ${part} of ${parts}`);
    for (const group of groups ?? []) {
      const { source, fields } = layouts?.[group.layout ?? 0] ?? {};
      const pairs = (group.labelNames ?? []).map((name, at) => `${name}="${group.labelValues?.[at]}"`);
      for (const key of group.ended ? [...this.values.keys()] : []) {
        if (!key.startsWith(`${source} `) || !key.endsWith(`{${pairs.join()}}`)) continue;
        if (group.moved) this.values.delete(key);
        else this.values.set(key, { ...(this.values.get(key) as Shown), ended: true, told: true });
      }
      (group.values ?? []).forEach((value, at) => {
        const field = fields?.[group.indexes?.[at] ?? 0] ?? '';
        this.#see(source ?? '', field, `${source} ${field}{${pairs.join()}}`, value, group.ended ?? false);
      });
    }
  }

  /** What lives: value by key. */
  shown(): Record<string, number> {
    return Object.fromEntries([...this.values].filter(([, { ended }]) => !ended).map(([key, { value }]) => [key, value]));
  }

  /** Sum of the increases of a metric's series, as rate() sees them: the first value of a series is none. */
  increase(prefix: string): number {
    let sum = 0;
    for (const [key, increase] of this.#increase) if (key.startsWith(prefix)) sum += increase;
    return sum;
  }

  /** Series that live and that the newest keyframe does not have. */
  untold(): string[] {
    return [...this.values].filter(([, { told, ended }]) => !told && !ended).map(([key]) => key);
  }

  #see(source: string, field: string, key: string, value: number, ended: boolean): void {
    const before = this.values.get(key)?.value;
    const counts = !/^\d/.test(field) && describeMetric(source, field).type !== 'counter' ? 'holds' : 'counts';
    if (counts === 'counts' && before !== undefined) {
      if (value < before) this.faults.push(`${key} fell from ${before} to ${value}`);
      this.#increase.set(key, (this.#increase.get(key) ?? 0) + value - before);
    }
    this.values.set(key, { value, ended, told: true });
  }
}
