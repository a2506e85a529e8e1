import type { NativeFailure } from '../native/addon.ts';

/** One thing that the doctor looked at. */
export interface Finding {
  readonly area: 'system' | 'kernel' | 'privilege' | 'probe' | 'identity' | 'source' | 'data';
  readonly what: string;
  /** failed: something that was asked for is missing; degraded: some of it is. */
  readonly state: 'ok' | 'degraded' | 'failed';
  readonly found: string;
  /** What to do, where something is to be done. */
  readonly remedy?: string;
}

/** What is to be done where other network namespaces may not be entered. */
export const enteringRemedy = 'Missing capability CAP_SYS_ADMIN: entering a network namespace needs it';

/** What the addon advises about a failure; empty where it knows nothing. */
export function hintOf(thrown: unknown): string {
  return (thrown as Partial<NativeFailure>).hint ?? '';
}
