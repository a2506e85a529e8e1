import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../core/quantity.ts';

/** Value of an option that is a duration, ms. */
export function durationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 30s, at most 24d');
  return ms;
}

/** As `durationMs`, of what lasts at all. */
export function positiveDurationMs(text: string): number {
  const ms = durationMs(text);
  if (ms === 0) throw new InvalidArgumentError('expected a duration above 0, such as 5m');
  return ms;
}

/** Value of an option that is a time that is over: ISO 8601, or how long ago it was. Unix seconds. */
export function pastTime(text: string): number {
  const agoMs = parseDurationMs(text);
  const ms = agoMs === undefined ? Date.parse(text) : Date.now() - agoMs;
  if (!/^\d{4}-|^\d+[a-z]+$/.test(text) || !Number.isFinite(ms) || ms > Date.now())
    throw new InvalidArgumentError('expected a time that is over, such as 2026-11-22T04:32:20Z, or how long ago it was, such as 5m');
  return Math.floor(ms / 1000);
}
