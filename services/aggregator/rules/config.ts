import { z } from 'zod';
import { expecting, live } from '../../../core/config/traits.ts';

const ruleId = z.string().min(1).max(100);

/** Section `rules`. Whether ids and parameters exist is checked where the rules are loaded. */
export const rulesConfig = z
  .strictObject({
    directory: live(
      z.string().min(1).optional().describe('Folder with further rule files (*.yaml). Its changes take effect while it runs.'),
    ),
    disabled: live(z.array(ruleId).max(1000).default([]).describe('Ids of rules that do not run.')),
    params: expecting(
      live(
        z
          .record(ruleId, z.record(z.string().min(1).max(100), z.number()))
          .default({})
          .describe('Parameters of rules, by id and name, instead of those in their files.'),
      ),
      'a mapping of rule ids to their parameters, which are numbers',
    ),
  })
  .prefault({});

export type RulesConfig = z.output<typeof rulesConfig>;
