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
