import { z } from 'zod';
import { expecting } from './config/traits.ts';

const sizeUnits: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, KB: 1e3, MB: 1e6, GB: 1e9 };
const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

/** A timer of more than this fires at once. */
const maxDurationMs = 2 ** 31 - 1;

/** Bytes of a size such as 64MiB; undefined when it is not one. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, sizeUnits, Number.MAX_SAFE_INTEGER);
}

/** Milliseconds of a duration such as 30s, at most 24 days; undefined when it is not one. */
export function parseDurationMs(text: string): number | undefined {
  return parseQuantity(text, durationUnitsMs, maxDurationMs);
}

/** What a quantity of the configuration may be, in its own notation. */
export interface QuantityRange {
  readonly atLeast?: string;
  readonly atMost?: string;
}

/** A size in the configuration: a string with its unit, bytes after parsing. */
export function size(defaultText: string, range: QuantityRange = {}) {
  return quantity(defaultText, parseSize, 'a size such as 64MiB', range);
}

/** A duration in the configuration: a string with its unit, milliseconds after parsing. */
export function duration(defaultText: string, range: QuantityRange = {}) {
  const kind = `a duration such as 30s${range.atMost === undefined ? ', at most 24d' : ''}`;
  return quantity(defaultText, parseDurationMs, kind, range);
}

function quantity(defaultText: string, parse: (text: string) => number | undefined, kind: string, { atLeast, atMost }: QuantityRange = {}) {
  const least = parse(atLeast ?? '') ?? 1;
  const most = parse(atMost ?? '') ?? Number.POSITIVE_INFINITY;
  const range = [...(atLeast === undefined ? [] : [`at least ${atLeast}`]), ...(atMost === undefined ? [] : [`at most ${atMost}`])];
  const expected = [kind, ...range].join(', ');
  const schema = z
    .string({ error: (issue) => `found ${JSON.stringify(issue.input)}, expected ${expected}` })
    .default(defaultText)
    .transform((text, context) => {
      const value = parse(text);
      if (value !== undefined && value >= least && value <= most) return value;
      context.addIssue({ code: 'custom', message: `found "${text}", expected ${expected}${value === 0 ? ', above 0' : ''}` });
      return z.NEVER;
    });
  return expecting(schema, expected);
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>, max: number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim());
  if (match === null || !Object.hasOwn(units, match[2])) return undefined;
  const value = Math.round(Number(match[1]) * units[match[2]]);
  return value <= max ? value : undefined;
}
