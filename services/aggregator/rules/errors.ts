import { errorTable } from '../../../core/app-error.ts';

/** What is wrong with rules. */
export const ruleError = errorTable({
  RULES_UNREADABLE: {
    message: 'cannot read {file}: {cause}',
    retryable: false,
    remedy: 'Name a rule file (.yaml) or a folder of such files, and check its permissions.',
    exitCode: 78,
  },
  RULES_INVALID: {
    message: '{problems}',
    retryable: false,
    remedy: 'Mend what is named. `jitterscope rules check` shows all of it; docs/rules.md explains each field.',
    exitCode: 78,
  },
});
