/** Ways in which a template writes a number; without one it has three digits. */
export const formatNames = ['%', 'integer', 'seconds', 'us', 'bytes'] as const;
export type NumberFormat = (typeof formatNames)[number];

/** What each format makes of a number, for the reference. */
export const formatMeanings: Readonly<Record<NumberFormat, string>> = {
  '%': 'a ratio as percent: 0.31 is 31 %',
  integer: 'without decimals: 7.4 is 7',
  seconds: 'a number of seconds: 0.35 is 350 ms, 75 is 75 s',
  us: 'a number of microseconds: 1200 is 1.2 ms',
  bytes: 'a number of bytes: 1572864 is 1.5 MiB',
};

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A number for people: the same number is always the same text. */
export function formatNumber(value: number, format: NumberFormat | undefined): string {
  if (Number.isNaN(value)) return 'no data';
  if (!Number.isFinite(value)) return value > 0 ? 'infinitely many' : 'infinitely few';
  switch (format) {
    case '%':
      return `${threeDigits(value * 100)} %`;
    case 'integer':
      return String(Math.round(value) + 0);
    case 'seconds':
      return timeText(value);
    case 'us':
      return timeText(value / 1e6);
    case 'bytes':
      return bytesText(value);
    case undefined:
      return threeDigits(value);
  }
}

/** 7.4, 0.0123, 1230: at least three digits that mean something, never an exponent below 10^21. */
function threeDigits(value: number): string {
  if (Math.abs(value) >= 100) return String(Math.round(value));
  const text = String(Number(value.toPrecision(3)));
  return text === '-0' ? '0' : text;
}

function timeText(seconds: number): string {
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  if (size < 1e-3) return `${threeDigits(seconds * 1e6)} µs`;
  return size < 1 ? `${threeDigits(seconds * 1e3)} ms` : `${threeDigits(seconds)} s`;
}

function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (Math.abs(value) >= 1024 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${threeDigits(value)} ${byteUnits[unit]}`;
}
