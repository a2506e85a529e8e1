import type { TextFormat } from './render.ts';

/** What an Accept header asks for: the acceptable format with the highest quality, as Prometheus' own clients choose it. */
export function negotiatedFormat(accept: string | undefined): TextFormat {
  const ranges = (accept ?? '').slice(0, 4096).split(',').map(rangeOf);
  // Sorting is stable: of equal ones the first holds.
  for (const { type, version } of ranges.sort((a, b) => b.quality - a.quality)) {
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0' || version === '0.0.1'))
      return 'openmetrics';
    if (type === 'text/plain' && (version === undefined || version === '0.0.4')) return 'text';
  }
  return 'text';
}

/** Whether an Accept-Encoding header takes gzip. */
export function acceptsGzip(acceptEncoding: string | undefined): boolean {
  return (acceptEncoding ?? '')
    .slice(0, 4096)
    .split(',')
    .map(rangeOf)
    .some(({ type, quality }) => type === 'gzip' && quality > 0);
}

export function contentTypeOf(format: TextFormat): string {
  return format === 'openmetrics'
    ? 'application/openmetrics-text; version=1.0.0; charset=utf-8'
    : 'text/plain; version=0.0.4; charset=utf-8';
}

/** One range of a header (RFC 9110, 12.5): without q it has 1; one of 0 is refused. */
function rangeOf(text: string): { readonly type: string; readonly version: string | undefined; readonly quality: number } {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const told = new Map(parameters.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1).replaceAll('"', '')]));
  const quality = Number(told.get('q') ?? 1);
  return quality > 0 ? { type, version: told.get('version'), quality } : { type: '', version: undefined, quality: 0 };
}
