import { errorTable } from '../app-error.ts';

const allSettings = '`jitterscope config schema` and docs/reference/config.md tell all settings; `jitterscope config check` checks a file.';

/** What can be wrong with a configuration. Details, where they are known: file, line, column, path, found, expected. */
export const configError = errorTable({
  CONFIG_UNREADABLE: {
    message: 'cannot read the configuration {file}: {cause}',
    retryable: false,
    remedy: 'Check the path and its permissions.',
    exitCode: 78,
  },
  CONFIG_SYNTAX: {
    message: '{problems}',
    retryable: false,
    remedy: 'Mend the line that is named.',
    exitCode: 78,
  },
  CONFIG_INVALID: {
    message: '{problems}',
    retryable: false,
    remedy: `Mend the fields that are named. ${allSettings}`,
    exitCode: 78,
  },
});
