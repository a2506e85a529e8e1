import { type RawBody, RawMessage } from '../../proto/bus.ts';
import { CollectorMessage, type RecordBatch, type Translation } from '../../proto/collect.ts';
import { recordOffsets } from '../../schema/record.gen.ts';

const lenUnit = 64;

interface Open {
  readonly raw: RawBody;
  readonly batch: RecordBatch;
  readonly seq: number;
  chunks: Uint8Array[];
  bytes: number;
  count: number;
  translations: Translation[];
  appended: RawBody['appended'];
}

/**
 * The same raw messages with record batches cut and joined to about `maxBytes`. Only neighbours of one session with the
 * same clock offset are joined, and nothing is moved over another message: what the aggregator makes of them is the same.
 */
export async function* rebatched(messages: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let open: Open | undefined;
  for await (const bytes of messages) {
    const decoded = wholeBatch(bytes);
    if (open !== undefined && (decoded === undefined || !continues(open, decoded.raw, decoded.batch))) {
      yield sealed(open);
      open = undefined;
    }
    if (decoded === undefined) {
      yield bytes;
      continue;
    }
    const { raw, batch, seq } = decoded;
    // Message numbers stay those of the first part: a batch goes by its item numbers alone.
    open ??= {
      raw,
      batch: { ...batch, firstItem: batch.firstItem ?? 0 },
      seq,
      chunks: [],
      bytes: 0,
      count: 0,
      translations: [],
      appended: raw.appended,
    };
    open.appended = raw.appended;
    const translations = new Map((batch.translations ?? []).map((one) => [one.index ?? 0, one]));
    let index = 0;
    for (const record of recordsOf(batch)) {
      if (open.bytes > 0 && open.bytes + record.length > maxBytes) {
        yield sealed(open);
        open = {
          ...open,
          batch: { firstItem: (open.batch.firstItem ?? 0) + open.count, clockOffset: batch.clockOffset ?? null },
          chunks: [],
          bytes: 0,
          count: 0,
          translations: [],
        };
      }
      const translation = translations.get(index++);
      if (translation !== undefined) open.translations.push({ ...translation, index: open.count });
      open.chunks.push(record);
      open.bytes += record.length;
      open.count++;
    }
  }
  if (open !== undefined) yield sealed(open);
}

/** A captured message's batch; undefined for every other message, and for a batch whose bytes are not as many records as it says. */
function wholeBatch(bytes: Buffer): { raw: RawBody; batch: RecordBatch; seq: number } | undefined {
  try {
    const raw = RawMessage.decode(bytes);
    const { batch, seq } = raw.tick ? {} : CollectorMessage.decode(raw.message);
    return batch && seq !== undefined && isWhole(batch) ? { raw, batch, seq } : undefined;
  } catch {
    // The aggregator refuses it and says why.
    return undefined;
  }
}

function isWhole({ records, count }: RecordBatch): boolean {
  const bytes = records ?? new Uint8Array(0);
  let at = 0;
  let found = 0;
  for (; at < bytes.length && bytes[at + recordOffsets.len] > 0; found++) at += bytes[at + recordOffsets.len] * lenUnit;
  return at === bytes.length && found === (count ?? 0);
}

function continues(open: Open, raw: RawBody, batch: RecordBatch): boolean {
  const offset = batch.clockOffset;
  const before = open.batch.clockOffset;
  return (
    raw.node === open.raw.node &&
    Buffer.compare(raw.session ?? Buffer.alloc(0), open.raw.session ?? Buffer.alloc(0)) === 0 &&
    (batch.firstItem ?? 0) === (open.batch.firstItem ?? 0) + open.count &&
    (offset?.seconds ?? 0) === (before?.seconds ?? 0) &&
    (offset?.nanos ?? 0) === (before?.nanos ?? 0) &&
    (batch.skipped ?? []).length === 0 &&
    (batch.kernelLosses ?? []).length === 0
  );
}

function* recordsOf(batch: RecordBatch): Generator<Uint8Array> {
  const bytes = batch.records ?? new Uint8Array(0);
  for (let at = 0, left = batch.count ?? 0; left > 0; left--) {
    const length = bytes[at + recordOffsets.len] * lenUnit;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function sealed(open: Open): Buffer {
  const records = Buffer.concat(open.chunks, open.bytes);
  const batch = { ...open.batch, count: open.count, records, translations: open.translations };
  const message = CollectorMessage.encode({ seq: open.seq, batch }).finish();
  return Buffer.from(RawMessage.encode({ ...open.raw, appended: open.appended ?? null, message }).finish());
}
