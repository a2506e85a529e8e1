/** Labels of a series, sorted by name. */
export interface Labels {
  readonly names: readonly string[];
  readonly values: readonly string[];
}

export const noLabels: Labels = { names: [], values: [] };

const separator = '\u0000';

/** Labels of pairs. */
export function labelsFrom(pairs: Readonly<Record<string, string>>): Labels {
  const names = Object.keys(pairs).sort();
  return { names, values: names.map((name) => pairs[name]) };
}

/** Both, sorted again. A name that stands in both has the first one's value. */
export function joined(first: Labels, second: Labels): Labels {
  if (second.names.length === 0) return first;
  const pairs = new Map(second.names.map((name, at) => [name, second.values[at]]));
  first.names.forEach((name, at) => {
    pairs.set(name, first.values[at]);
  });
  const names = [...pairs.keys()].sort();
  return { names, values: names.map((name) => pairs.get(name) as string) };
}

/** One string per label set. */
export function labelsKey({ names, values }: Labels): string {
  let key = '';
  for (let at = 0; at < names.length; at++) key += names[at] + separator + values[at] + separator;
  return key;
}

const plausibleName = /^[a-z][a-z0-9_]{0,63}$/;
const maxLabels = 8;
const maxValueLength = 255;
/** What a target may not call its own dimensions: identity says these, and the store's own. */
const reserved = new Set(['netns', 'cgroup', 'le', 'quantile', 'job', 'instance']);

/** A target's own dimensions as they came, checked; undefined when they can be no labels. */
export function ownLabels(told: Readonly<Record<string, string>> | null | undefined): Labels | undefined {
  if (told === null || told === undefined) return noLabels;
  const names = Object.keys(told);
  if (names.length === 0) return noLabels;
  if (names.length > maxLabels) return undefined;
  if (!names.every((name) => plausibleName.test(name) && !name.startsWith('k8s_') && !reserved.has(name))) return undefined;
  names.sort();
  return { names, values: names.map((name) => told[name].slice(0, maxValueLength)) };
}
