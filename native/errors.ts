import { errorTable } from '../core/app-error.ts';

/** Failures of loading the addon and its objects; what the addon itself throws is a NativeFailure (addon.ts). */
export const nativeError = errorTable({
  NATIVE_NOT_BUILT: {
    message: 'The native addon {path} is not there',
    retryable: false,
    remedy: 'Build it: npm run build (needs the Debian packages gcc and libbpf-dev)',
    exitCode: 69,
  },
  NATIVE_NOT_LOADABLE: {
    message: 'The native addon {path} does not load: {reason}',
    retryable: false,
    remedy: 'Install the Debian package libbpf1, then build the addon on this machine: npm run build',
    exitCode: 69,
  },
  NATIVE_OBJECT_NOT_BUILT: {
    message: 'The BPF object {path} is not there',
    retryable: false,
    remedy: 'Build it: npm run build (needs the Debian package clang)',
    exitCode: 69,
  },
});
