import { suggestion } from '../../../../core/suggestion.ts';
import type { RuleFile } from '../language/rule-file.ts';
import { noteIssues } from '../language/schema-problems.ts';
import { type InputRow, readInput } from './test-input.ts';
import { type TestDocument, testSchema } from './test-schema.ts';

/** One embedded test of a rule, as it can be run. */
export interface RuleTest {
  readonly ruleId: string;
  readonly document: TestDocument;
  readonly input: readonly InputRow[];
  /** Line of the file. */
  readonly line: number;
}

/** Reads the tests of a rule file. What is wrong is noted in the file's problems. */
export function readRuleTests({ document, text }: RuleFile): RuleTest[] {
  const names = new Set<string>();
  return (document?.tests ?? []).flatMap((given, index): RuleTest[] => {
    if (document === undefined) return [];
    const path = ['tests', index];
    const parsed = testSchema.safeParse(given);
    if (!parsed.success) {
      noteIssues(text, parsed.error, testSchema, given, path);
      return [];
    }
    const test = parsed.data;
    if (names.has(test.name)) text.note([...path, 'name'], `found ${test.name} a second time, expected a name of its own`);
    names.add(test.name);
    const known = Object.keys(document.params);
    for (const name of Object.keys(test.params))
      if (!known.includes(name)) text.note([...path, 'params', name], `there is no param ${name}${suggestion(name, known)}`, 0, 'key');
    return [{ ruleId: document.id, document: test, input: readInput(test, document.entity, text, path), line: text.lineOf(path) }];
  });
}
