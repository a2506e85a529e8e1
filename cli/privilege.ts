import { type AppError, errorTable } from '../core/app-error.ts';
import type { OrderedProbe } from '../services/collector/probe-orders.ts';
import { missingPrivilege } from '../services/collector/probe-orders.ts';

const privilegeError = errorTable({
  RUN_FORBIDDEN: {
    message: 'no probe may be attached: {cause}',
    retryable: false,
    remedy:
      '{hint}. Without privileges `jitterscope replay` and `jitterscope demo` show what it does; `jitterscope doctor` says what each privilege is for.',
    exitCode: 77,
  },
});

/** Why a run could see nothing: all probes that are wanted lack a privilege. Undefined: something works, or nothing is wanted. */
export function forbiddenProbes(probes: readonly OrderedProbe[]): AppError | undefined {
  const wanted = probes.filter(({ state }) => state !== 'disabled');
  const problems = wanted.map(({ attached, problems }) =>
    attached.length > 0 ? undefined : problems.find(({ remedy }) => missingPrivilege(remedy)),
  );
  const [first] = problems;
  if (first === undefined || problems.includes(undefined)) return undefined;
  return privilegeError('RUN_FORBIDDEN', { cause: first.reason, hint: first.remedy });
}
