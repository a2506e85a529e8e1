import { DeadLetter } from '../proto/bus.ts';
import { millisOf } from './time.ts';

/** From one offset to another (exclusive). */
export interface OffsetRange {
  readonly from: number;
  readonly to: number;
}

/** What a message of the DLQ topic says of letters before it. */
export type LetterEntry =
  | {
      readonly kind: 'settlement';
      /** Hex; empty: of a version that gave none. */
      readonly id: string;
      readonly ranges: readonly OffsetRange[];
    }
  | {
      readonly kind: 'claim';
      /** Hex. */
      readonly id: string;
      readonly ranges: readonly OffsetRange[];
      /** Unix time. */
      readonly untilMs: number;
      readonly ended: boolean;
    };

/** First bytes of messages with nothing but field 13 or 14 of a DeadLetter (bus.proto). A letter begins with its stage. */
const settlementTag = 0x6a;
const claimTag = 0x72;

/** Body of a message that says that letters wait no more. */
export function encodeSettlement({ id, ranges }: Omit<Extract<LetterEntry, { kind: 'settlement' }>, 'kind'>): Uint8Array {
  return DeadLetter.encode({ settlement: { id: Buffer.from(id, 'hex'), ranges: flat(ranges) } }).finish();
}

/** Body of a message with which a claim on letters begins, or ends. */
export function encodeClaim({ id, ranges, untilMs, ended }: Omit<Extract<LetterEntry, { kind: 'claim' }>, 'kind'>): Uint8Array {
  const until = { seconds: Math.floor(untilMs / 1000), nanos: (untilMs % 1000) * 1_000_000 };
  return DeadLetter.encode({ claim: { id: Buffer.from(id, 'hex'), ranges: flat(ranges), until, ended } }).finish();
}

/** The entry that a message at an offset is; undefined: it is a letter, or nothing that can be read. */
export function entryOf(value: Uint8Array, offset: number): LetterEntry | undefined {
  if (value[0] !== settlementTag && value[0] !== claimTag) return undefined;
  try {
    const { stage, settlement, claim } = DeadLetter.decode(value);
    if (stage) return undefined;
    const ranges = rangesOf((settlement ?? claim)?.ranges ?? [], offset);
    if (ranges === undefined) return undefined;
    if (settlement) return { kind: 'settlement', id: Buffer.from(settlement.id ?? []).toString('hex'), ranges };
    const { id, until, ended } = claim ?? {};
    if (id?.length !== 8) return undefined;
    const untilMs = millisOf({ seconds: until?.seconds ?? 0, nanos: until?.nanos ?? 0 });
    return { kind: 'claim', id: Buffer.from(id).toString('hex'), ranges, untilMs, ended: ended === true };
  } catch {
    return undefined;
  }
}

/** Rising offsets as ranges. */
export function toRanges(offsets: Iterable<number>): OffsetRange[] {
  const ranges: { from: number; to: number }[] = [];
  for (const offset of offsets) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to === offset) last.to = offset + 1;
    else ranges.push({ from: offset, to: offset + 1 });
  }
  return ranges;
}

/** Distance from the range before and length, for each. */
function flat(ranges: readonly OffsetRange[]): number[] {
  let at = 0;
  return ranges.flatMap(({ from, to }) => {
    const gap = from - at;
    at = to;
    return [gap, to - from];
  });
}

/** Undefined where they are none, or not all before the message that tells of them. */
function rangesOf(numbers: readonly number[], offset: number): OffsetRange[] | undefined {
  if (numbers.length % 2 !== 0) return undefined;
  const ranges: OffsetRange[] = [];
  for (let index = 0, at = 0; index < numbers.length; index += 2) {
    const from = at + numbers[index];
    at = from + numbers[index + 1];
    if (at <= from || at > offset) return undefined;
    ranges.push({ from, to: at });
  }
  return ranges;
}
