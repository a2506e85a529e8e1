import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../core/quantity.ts';

/** Value of an option that is a duration, ms. */
export function durationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 30s, at most 24d');
  return ms;
}
