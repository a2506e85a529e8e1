import type { NativeFailure } from '../../native/addon.ts';

/** A test's setting (CONTRIBUTING.md): load:PROGRAM or load:OBJECT, attach:PROGRAM, with commas between them. */
export const forcedFailureVariable = 'JITTERSCOPE_TEST_FAIL';

/** The failure that a test wants where one of these names is loaded or attached, in the form of a real one. */
export function forcedFailure(step: 'load' | 'attach', names: readonly string[]): NativeFailure | undefined {
  const wanted = (process.env[forcedFailureVariable] ?? '').split(',');
  const name = names.find((one) => wanted.includes(`${step}:${one}`));
  if (name === undefined) return undefined;
  return Object.assign(new Error(`Cannot ${step} ${name}: ${forcedFailureVariable} forces it (EINVAL)`), {
    code: step === 'load' ? 'NATIVE_LOAD' : 'NATIVE_ATTACH',
    errno: 22,
    errnoName: 'EINVAL',
    log: step === 'load' ? `libbpf: prog '${name}': failed to load: -22` : '',
    hint: `Unset ${forcedFailureVariable}`,
  });
}
