/** What the file sink counts by itself, since the process started. */
export type FileCounters = {
  /** Bytes behind the last delivered event, cut off at start. */
  cutBytes: number;
  /** Files closed because of their size. */
  rotations: number;
  /** Files deleted because there were more than `maxFiles`. */
  removedFiles: number;
  removedBytes: number;
  compressedFiles: number;
};

export function newFileCounters(): FileCounters {
  return { cutBytes: 0, rotations: 0, removedFiles: 0, removedBytes: 0, compressedFiles: 0 };
}
