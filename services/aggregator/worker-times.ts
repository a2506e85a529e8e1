/** What a partition's steps took, since the start of the process. Plain numbers; not part of the state. */
export interface WorkerTimes {
  /** Fetches of the raw log that were processed. */
  fetches: number;
  /** Time that this took, with the waits for room in the output, seconds. */
  fetchSeconds: number;
  checkpoints: number;
  checkpointFailures: number;
  /** Time that writing checkpoints took, seconds. */
  checkpointSeconds: number;
  /** When the newest one was written; 0: none yet. */
  lastCheckpointUnixMs: number;
}

export function newWorkerTimes(): WorkerTimes {
  return { fetches: 0, fetchSeconds: 0, checkpoints: 0, checkpointFailures: 0, checkpointSeconds: 0, lastCheckpointUnixMs: 0 };
}
