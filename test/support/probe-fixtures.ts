import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EventNames } from '../../bpf/event.ts';
import type { Probe } from '../../bpf/probe.ts';
import { RecordReader } from '../../schema/record.ts';

/** A reader that stands on the only record of these bytes. */
export function readerOf(bytes: Uint8Array): RecordReader {
  const reader = new RecordReader();
  reader.reset(bytes);
  if (!reader.next()) throw new Error(`no whole record in ${bytes.length} bytes`);
  return reader;
}

/** A record of a probe as the kernel wrote it; the probe's kernel tests keep it, with RECORD_FIXTURES=1. */
export function readFixture(probe: Probe, name: string): RecordReader {
  return readerOf(readFileSync(fixtureFile(probe, name)));
}

/** Keeps a real record for `readFixture`, when the tests are run with RECORD_FIXTURES=1. */
export function keepFixture(probe: Probe, name: string, record: Uint8Array): void {
  if (process.env.RECORD_FIXTURES === undefined) return;
  const file = fixtureFile(probe, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, record);
}

function fixtureFile(probe: Probe, name: string): string {
  return fileURLToPath(new URL(`../../bpf/${probe.name}/fixtures/${name}.bin`, import.meta.url));
}

/** Two ends as people call them, on a node that told no names of its kernel. */
export function eventNames(local: string, far: string): EventNames {
  return { local, far, origin: '', enumName: () => undefined, symbol: () => undefined, stack: () => undefined };
}

/** jitterscope.values of a record. */
export function valuesOf({ event }: Probe, record: RecordReader): Record<string, number> {
  const values = (event.values ?? []).map(({ name, read }) => [name, read(record)] as const);
  return Object.fromEntries(values.filter(([, value]) => value >= 0));
}
