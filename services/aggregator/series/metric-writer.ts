import { MetricBatch, type MetricBatchBody, type MetricGroupBody } from '../../../proto/bus.ts';
import type { SeriesGroup } from './series-group.ts';
import type { SourceFields } from './source-fields.ts';

/** A message is closed before it grows past this size. */
const maxMessageBytes = 240 * 1024;
/** What an index and a value take at most. */
const valueBytes = 8 + 3;
const groupBytes = 48;
/** Keyframes tell what ended less than this before. */
const toldEndedMs = 600_000;

/** One message in the making: groups, and the names of the fields that they use. */
interface Part {
  readonly groups: MetricGroupBody[];
  readonly layouts: { readonly source: string; readonly fields: string[]; readonly places: Map<number, number> }[];
  readonly bySource: Map<SourceFields, number>;
  bytes: number;
}

/** Gathers what is to be told of groups into messages of bounded size. */
export class MetricWriter {
  readonly #keyframe: boolean;
  readonly #clockMs: number;
  readonly #parts: Part[] = [];

  /** @param clockMs the store's clock */
  constructor(keyframe: boolean, clockMs: number) {
    this.#keyframe = keyframe;
    this.#clockMs = clockMs;
  }

  /** Adds what a group has to tell: what changed of it, all of it in a keyframe. */
  add(group: SeriesGroup): void {
    const endedMs = this.#clockMs - group.endedMs;
    if (this.#keyframe && group.ended && !group.dirty && (group.moved || endedMs >= toldEndedMs)) return;
    const { source, labels } = group;
    let part = this.#part(groupBytes + labels.names.join('').length + 3 * labels.values.join('').length);
    const fresh = (): MetricGroupBody & { indexes: number[]; values: number[] } => ({
      layout: this.#layoutOf(part, source),
      labelNames: labels.names as string[],
      labelValues: labels.values as string[],
      indexes: [],
      values: [],
      ...(group.ended ? { ended: true, endedMs, moved: group.moved } : {}),
    });
    let body = fresh();
    part.groups.push(body);
    if (group.moved) return;
    for (let field = 0; field < group.flags.length; field++) {
      if (!(this.#keyframe ? group.isKnown(field) : group.isDirty(field))) continue;
      // A gauge ends with what it measured.
      if (group.ended && !source.counts[field]) continue;
      const value = group.value(field);
      // Most of what ended stayed 0, and has no increment that anybody could have missed.
      if (group.ended && this.#keyframe && value === 0) continue;
      if (part.bytes + valueBytes > maxMessageBytes) {
        // A group that is larger than a message goes on in the next.
        part = this.#part(maxMessageBytes);
        body = fresh();
        part.groups.push(body);
      }
      const layout = part.layouts[body.layout ?? 0];
      let index = layout.places.get(field);
      if (index === undefined) {
        index = layout.fields.push(source.fields[field]) - 1;
        layout.places.set(field, index);
        part.bytes += 3 * source.fields[field].length + 2;
      }
      body.indexes.push(index);
      body.values.push(value);
      part.bytes += valueBytes;
    }
  }

  /** How many messages there are; a keyframe of nothing is one. */
  get parts(): number {
    return this.#keyframe ? Math.max(1, this.#parts.length) : this.#parts.length;
  }

  /** Encodes one message. */
  encode(part: number, rawOffset: number, unixMs: number): Uint8Array {
    const { groups, layouts } = this.#parts[part] ?? { groups: [], layouts: [] };
    const body: MetricBatchBody = {
      rawOffset,
      ordinal: part,
      at: { seconds: Math.floor(unixMs / 1000), nanos: (unixMs % 1000) * 1e6 },
      layouts: layouts.map(({ source, fields }) => ({ source, fields })),
      groups,
      ...(this.#keyframe ? { keyframe: true, part, parts: this.parts } : {}),
    };
    return MetricBatch.encode(body).finish();
  }

  /** The open message, if so many bytes more fit; else a new one. */
  #part(bytes: number): Part {
    let part = this.#parts.at(-1);
    if (part === undefined || part.bytes + bytes > maxMessageBytes) {
      part = { groups: [], layouts: [], bySource: new Map(), bytes: 64 };
      this.#parts.push(part);
    }
    if (bytes < maxMessageBytes) part.bytes += bytes;
    return part;
  }

  #layoutOf(part: Part, source: SourceFields): number {
    let layout = part.bySource.get(source);
    if (layout === undefined) {
      layout = part.layouts.push({ source: source.source, fields: [], places: new Map() }) - 1;
      part.bySource.set(source, layout);
      part.bytes += source.source.length + 8;
    }
    return layout;
  }
}
