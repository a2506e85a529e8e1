import { suggestion } from '../../../../core/suggestion.ts';
import type { RuleFile } from './rule-file.ts';
import { ruleLimits } from './rule-schema.ts';

/** Checks what no rule can know alone: ids, causes, their number. Problems are noted in the files. */
export function crossCheck(files: readonly RuleFile[]): void {
  const byId = new Map<string, RuleFile>();
  for (const [index, file] of files.entries()) {
    if (index === ruleLimits.rules) file.text.note([], `found ${files.length} rules, expected at most ${ruleLimits.rules}`);
    const id = file.document?.id;
    if (id === undefined) continue;
    const other = byId.get(id);
    if (other === undefined) byId.set(id, file);
    else file.text.note(['id'], `found ${id}, which ${other.file} is called already; give it another id`);
  }
  // A file whose form is wrong may be the one that is named.
  const unread = files.filter(({ document }) => document === undefined).length;
  for (const file of files) {
    for (const [index, id] of (file.document?.caused_by ?? []).entries()) {
      if (byId.has(id) || unread > 0) continue;
      file.text.note(['caused_by', index], `there is no rule ${id}${suggestion(id, [...byId.keys()])}`);
    }
  }
  noteCycles(byId);
}

/** A cause that is its own consequence explains nothing. */
function noteCycles(byId: ReadonlyMap<string, RuleFile>): void {
  const done = new Set<string>();
  const walk = (id: string, trail: readonly string[]): void => {
    const file = byId.get(id);
    if (file === undefined || done.has(id)) return;
    for (const [index, cause] of (file.document?.caused_by ?? []).entries()) {
      const from = [...trail, id].indexOf(cause);
      if (from >= 0) {
        const circle = [...[...trail, id].slice(from), cause].join(' <- ');
        file.text.note(['caused_by', index], `found a circle, ${circle}: expected causes that are not caused by this rule`);
      } else walk(cause, [...trail, id]);
    }
    done.add(id);
  };
  for (const id of byId.keys()) walk(id, []);
}
