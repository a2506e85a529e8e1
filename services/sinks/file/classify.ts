import { AppError, messageOf } from '../../../core/app-error.ts';
import { fileError } from './errors.ts';

const codes = {
  ENOSPC: 'FILE_NO_SPACE',
  EDQUOT: 'FILE_NO_SPACE',
  EFBIG: 'FILE_NO_SPACE',
  EACCES: 'FILE_DENIED',
  EPERM: 'FILE_DENIED',
  EROFS: 'FILE_DENIED',
  EEXIST: 'FILE_NOT_A_FOLDER',
  ENOTDIR: 'FILE_NOT_A_FOLDER',
  EMFILE: 'FILE_TOO_MANY_OPEN',
  ENFILE: 'FILE_TOO_MANY_OPEN',
} as const;

/** The error row of a failed system call. */
export function classify(thrown: unknown, action: string, path: string): AppError {
  if (thrown instanceof AppError) return thrown;
  const errno = errnoOf(thrown);
  const code = errno !== undefined && errno in codes ? codes[errno as keyof typeof codes] : 'FILE_IO';
  return fileError(code, { action, path, errno: errno ?? 'no errno', cause: messageOf(thrown) }, thrown);
}

/** The errno's name, as ENOENT, if the failure has one. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
