import { errorTable } from '../../../core/app-error.ts';

/** What can go wrong between the sink and its folder. */
export const fileError = errorTable({
  FILE_NO_SPACE: {
    message: 'cannot {action} {path}: no space left ({errno})',
    retryable: true,
    remedy:
      'Free space on that file system, or lower sinks.file.maxFiles or sinks.file.maxFileSize. Events wait in the bus and are written as soon as there is room.',
  },
  FILE_DENIED: {
    message: 'cannot {action} {path}: not permitted ({errno})',
    retryable: false,
    remedy: 'Make the folder writable for the user jitterscope runs as, or set sinks.file.dir to one that is. Events wait in the bus.',
  },
  FILE_NOT_A_FOLDER: {
    message: 'cannot {action} {path}: there is something that is not a folder ({errno})',
    retryable: false,
    remedy: 'Move it away, or set sinks.file.dir to another folder. Events wait in the bus.',
  },
  FILE_TOO_MANY_OPEN: {
    message: 'cannot {action} {path}: too many open files ({errno})',
    retryable: true,
    remedy: 'Raise the limit of open files (ulimit -n, LimitNOFILE=).',
  },
  FILE_IO: {
    message: 'cannot {action} {path}: {cause}',
    retryable: true,
    remedy: 'Look at the disk and its file system (dmesg). Events wait in the bus and the write is tried again.',
  },
});
