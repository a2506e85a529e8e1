import type { Degradation, Selection } from './probe.ts';

/**
 * The selection of a probe that loads what it attaches, and nothing else.
 * @param attach programs, in the order in which they are attached
 */
export function selectionOf(
  attach: readonly string[],
  rest: Pick<Selection, 'degraded' | 'sees'> & { readonly whenNotAttached?: ReadonlyMap<string, Degradation> },
): Selection {
  return { programs: attach, attach, iterators: [], whenNotAttached: new Map(), ...rest };
}
