/** What of a node's items is known to be lost, over all of its sessions. Totals since the partition's state began. */
export interface NodeLosses {
  /** Items that never came. */
  gapItems: number;
  /** The part of them that the collector gave up, by reason. */
  readonly skippedItems: Record<string, number>;
  /** Records that the kernel had no room for, by probe number. */
  readonly kernelLostRecords: Record<string, number>;
}

export function noLosses(): NodeLosses {
  return { gapItems: 0, skippedItems: {}, kernelLostRecords: {} };
}
