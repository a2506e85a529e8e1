import type { Rule } from 'eslint';

export function violation(from: string, to: string, typeOnly: boolean): string | undefined;
export function importBoundaries(root: string): Rule.RuleModule;
