/** Whether the operating system refused a call (errno(3)), as it does on a disk that is full, broken or read-only. */
export function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'syscall' in thrown && 'code' in thrown;
}

/** Whether a call was refused because no space is left, on the disk or in the user's quota. */
export function isOutOfSpace(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT');
}
