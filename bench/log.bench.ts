import * as fs from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';

/** One figure of a bench, beside the reference of the same run. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same work without what is measured: here the plain file, written and read. */
  readonly reference: number;
}

const MB = 1e6;
const KIB = 1024;
const TOTAL_BYTES = 512 * KIB * KIB;
/** Bytes in flight, as the gateway has them from several collectors. */
const IN_FLIGHT_BYTES = 4 * KIB * KIB;
const TOPIC = { name: 'raw', partitions: 1, maxBytes: 4 * TOTAL_BYTES, retain: 'oldest' } as const;

/** Append and read of the embedded log per CPU-second (all threads and the kernel's part), and a plain file's. */
export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  await measured(64 * KIB);
  for (const messageBytes of [256 * KIB, 64 * KIB]) {
    const { plain, logged } = await measured(messageBytes);
    const name = `embedded log, ${messageBytes / KIB} KiB messages`;
    rows.push({ name: `${name}: append`, value: logged.append, unit: 'MB/core-s', reference: plain.append });
    rows.push({ name: `${name}: read`, value: logged.read, unit: 'MB/core-s', reference: plain.read });
  }
  return rows;
}

/** Bytes per CPU-second, in MB. */
interface Rates {
  readonly append: number;
  readonly read: number;
}

async function measured(messageBytes: number): Promise<{ readonly plain: Rates; readonly logged: Rates }> {
  const dir = await mkdtemp(`${tmpdir()}/jitterscope-bench-`);
  try {
    return { plain: await plainFile(`${dir}/plain`, messageBytes), logged: await embeddedLog(`${dir}/log`, messageBytes) };
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function embeddedLog(dir: string, messageBytes: number): Promise<Rates> {
  const log = await openEmbeddedLog({ dir, topics: [TOPIC] });
  const message = noise(messageBytes);
  const count = TOTAL_BYTES / messageBytes;
  const append = await perCpuSecond(async () => {
    let left = count;
    const caller = async (): Promise<void> => {
      while (left-- > 0) await log.append(TOPIC.name, 0, [message]);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT_BYTES / messageBytes }, caller));
  });
  let seen = 0;
  const read = await perCpuSecond(async () => {
    for await (const fetch of log.read(TOPIC.name, 0, 0, { until: count }))
      for (const { value } of fetch.messages) seen += value.byteLength;
  });
  if (seen !== TOTAL_BYTES) throw new Error(`read ${seen} of ${TOTAL_BYTES} bytes`);
  await log.close();
  return { append, read };
}

/** The same bytes, in writes as large as the log's groups, each followed by fdatasync; no header, no checksum. */
async function plainFile(path: string, messageBytes: number): Promise<Rates> {
  const message = noise(messageBytes);
  const group = Array.from({ length: IN_FLIGHT_BYTES / messageBytes }, () => message);
  const file = await open(path, fs.constants.O_CREAT | fs.constants.O_RDWR);
  const append = await perCpuSecond(async () => {
    for (let position = 0; position < TOTAL_BYTES; position += IN_FLIGHT_BYTES) {
      await file.writev(group, position);
      await file.datasync();
    }
  });
  const buffer = Buffer.allocUnsafeSlow(KIB * KIB);
  const read = await perCpuSecond(async () => {
    for (let position = 0; position < TOTAL_BYTES; ) position += (await file.read(buffer, 0, buffer.byteLength, position)).bytesRead;
  });
  await file.close();
  return { append, read };
}

async function perCpuSecond(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return TOTAL_BYTES / MB / ((user + system) / 1e6);
}

function noise(bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at++) message[at] = (at * 2654435761) >>> 24;
  return message;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { name, value, unit, reference } of await run()) {
    process.stdout.write(`| ${name} | ${value.toFixed(0)} ${unit} | plain file ${reference.toFixed(0)} ${unit} |\n`);
  }
}
