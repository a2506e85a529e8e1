/** Part of an EventFilter: which Pod's events to show. */
export interface PodFilter {
  readonly namespace?: string;
  readonly pod: string;
}

/** Reads `namespace/name`, as events show Pods, or a name alone; undefined: it is neither. */
export function parsePod(text: string): PodFilter | undefined {
  const [first, second, ...more] = text.split('/');
  if (first === '' || second === '' || more.length > 0) return undefined;
  return second === undefined ? { pod: first } : { namespace: first, pod: second };
}
