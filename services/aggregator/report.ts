import { z } from 'zod';
import { parseMetadata } from '../../core/bus/commit-metadata.ts';

const count = z.int().nonnegative();

const schema = z.object({ v: z.literal(1), held: count, refused: count, lost: z.boolean() });

/** How an aggregator's work on a partition stands: what its group commits with the position, for whoever writes ticks. */
export interface AggregatorReport {
  /** Bytes of records that wait for an identity. */
  readonly heldBytes: number;
  /** Raw messages that went to the dead letters; a total. */
  readonly refusedMessages: number;
  /** Whether it began without the state that there must have been, a minute ago at most. */
  readonly stateLost: boolean;
}

/** As the metadata of a commit. */
export function encodeReport({ heldBytes, refusedMessages, stateLost }: AggregatorReport): string {
  const body: z.input<typeof schema> = { v: 1, held: heldBytes, refused: refusedMessages, lost: stateLost };
  return JSON.stringify(body);
}

/** From a commit's metadata; undefined where another version or hand wrote it. */
export function decodeReport(metadata: string): AggregatorReport | undefined {
  const found = parseMetadata(schema, metadata);
  return found && { heldBytes: found.held, refusedMessages: found.refused, stateLost: found.lost };
}
