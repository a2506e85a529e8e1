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
  EXPLAIN_UNKNOWN_RULE: {
    message: 'no rule {rule} runs{suggestion}',
    retryable: false,
    remedy: '`jitterscope rules list` shows the rules that come with jitterscope; rules.disabled may leave one out.',
    exitCode: 2,
  },
  EXPLAIN_NO_PARTITION: {
    message: 'this process aggregates nothing: its role is another one, or it has no partition',
    retryable: false,
    remedy:
      'Name the data folder of a process of the role aggregator or all (--data-dir). One that has just started waits for its partitions.',
    exitCode: 1,
  },
  EXPLAIN_TOO_EARLY: {
    message: 'nothing is known of {at}: the messages of partition {partition} begin at {from}',
    retryable: false,
    remedy: 'Ask for a later time. How far the raw log reaches back follows from its retention; a capture keeps what it is told to.',
    exitCode: 1,
  },
  EXPLAIN_UNKNOWN_ENTITY: {
    message: '{rule} has looked at nothing that is called {entity}, from {from} to {to}',
    retryable: false,
    remedy:
      'Name a Pod (shop/web-0), a network namespace by name or cookie, a node, or `partition 0`, as the rule is about one of them. What nothing was told of in the longest window is not known.',
    exitCode: 1,
  },
});
