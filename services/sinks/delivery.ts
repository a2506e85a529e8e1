import { bounded } from './bounded.ts';
import { measured } from './measured.ts';
import { type RetryingOptions, retrying } from './retrying.ts';
import type { Sink } from './sink.ts';

/** A sink that delivers all it is given, in requests of at most `maxBytes`, counted. */
export function delivering(sink: Sink, options: RetryingOptions & { readonly maxBytes: number }): Sink {
  return bounded(retrying(measured(sink, options.counters), options), options);
}
