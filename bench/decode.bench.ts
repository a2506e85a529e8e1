import { recordOffsets as at, recordBytes } from '../schema/record.gen.ts';
import { RecordReader } from '../schema/record.ts';
import { type BenchRow, perCpuSecond, printRows } from './bench-row.ts';
import { syntheticRecords } from './synthetic-records.ts';

const batchRecords = 2048;
const rounds = 4000;
const objectRounds = 100;

/** Ten fields of each record through the flyweight reader; the reference makes an object of them. */
export async function run(): Promise<BenchRow[]> {
  const bytes = syntheticRecords(batchRecords, 1e14, 2000);
  let sum = 0;
  const reader = new RecordReader();
  const flyweight = (): void => {
    reader.reset(bytes);
    while (reader.next()) {
      sum +=
        reader.tsNs +
        reader.netLo +
        reader.netHi +
        reader.sport +
        reader.dport +
        reader.code +
        reader.flags +
        reader.probe +
        reader.variant +
        reader.side;
    }
  };
  const objects = (): void => {
    for (let start = 0; start < bytes.length; start += recordBytes) {
      const record = objectOf(bytes, start);
      sum +=
        Number(record.ts) +
        Number(record.net) +
        record.sport +
        record.dport +
        record.code +
        record.flags +
        record.probe +
        record.variant +
        record.side;
    }
  };
  for (let round = 0; round < 200; round++) flyweight();
  const value = await perCpuSecond(batchRecords * rounds, () => {
    for (let round = 0; round < rounds; round++) flyweight();
  });
  objects();
  const reference = await perCpuSecond(batchRecords * objectRounds, () => {
    for (let round = 0; round < objectRounds; round++) objects();
  });
  if (Number.isNaN(sum)) throw new Error('the records were not read');
  return [
    { name: 'decode, 10 fields a record', value, unit: 'records/core-s', reference, referenceName: 'an object and two BigInts a record' },
  ];
}

function objectOf(bytes: Buffer, start: number) {
  return {
    ts: bytes.readBigUInt64LE(start + at.ts),
    net: bytes.readBigUInt64LE(start + at.net),
    saddr: bytes.toString('hex', start + at.saddr, start + at.saddr + 16),
    sport: bytes.readUInt16LE(start + at.sport),
    dport: bytes.readUInt16LE(start + at.dport),
    code: bytes.readUInt32LE(start + at.code),
    flags: bytes.readUInt16LE(start + at.flags),
    probe: bytes.readUInt16LE(start + at.probe),
    variant: bytes.readUInt8(start + at.variant),
    side: bytes.readUInt8(start + at.side),
  };
}

printRows(await run());
