import { readdirSync } from 'node:fs';

/** Ids of all rules that are shipped. */
export const shippedRules = readdirSync(new URL('../../rules/', import.meta.url))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -'.yaml'.length));

/** Options of a command that runs without any rule: where every document is to be an event that somebody expects. */
export const withoutRules: readonly string[] = ['--set', `rules.disabled=[${shippedRules.join()}]`];
