import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ExpectedEvents } from './expected-events.ts';

const newline = 10;
const idKey = Buffer.from('"id":"');
const idPrefixLength = 16;

/** The file sink's files of a folder in the order in which they were written; throws when one is missing or there twice. */
export function eventFilesOf(dir: string): string[] {
  const names = readdirSync(dir).filter((name) => /^0-\d{6,}\.ndjson(\.gz)?$/.test(name));
  const numbered = names.map((name) => ({ name, seq: Number(name.slice(2, name.indexOf('.'))) })).sort((a, b) => a.seq - b.seq);
  for (const [index, { seq, name }] of numbered.entries()) {
    if (seq !== index + 1) throw new Error(`${name} is number ${seq} of the event files, expected ${index + 1}`);
  }
  return numbered.map(({ name }) => join(dir, name));
}

/** Text of the files, one after the other; each ends with a whole line. */
export function* eventBlocks(dir: string): Generator<Buffer> {
  for (const file of eventFilesOf(dir)) {
    const bytes = readFileSync(file);
    const text = file.endsWith('.gz') ? gunzipSync(bytes) : bytes;
    if (text.length > 0 && text[text.length - 1] !== newline) throw new Error(`${file} ends within a line`);
    yield text;
  }
}

/** Every line without its newline: a view, valid until the next. */
export function* eventLines(dir: string): Generator<Buffer> {
  for (const text of eventBlocks(dir)) {
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf(newline, at);
      yield text.subarray(at, end);
      at = end + 1;
    }
  }
}

/** A finding's line, and no other. */
const alertKind = Buffer.from('"event":{"kind":"alert"');

/** Lines of findings. */
export function findingLines(dir: string): string[] {
  return [...eventLines(dir)].filter((line) => line.includes(alertKind)).map((line) => line.toString());
}

/** Tells every event of the files to `events`; returns how many there are. Findings are left out. */
export function countEvents(dir: string, events: ExpectedEvents): number {
  let lines = 0;
  for (const line of eventLines(dir)) {
    if (line.includes(alertKind)) continue;
    lines++;
    const at = line.indexOf(idKey) + idKey.length;
    const prefix = line.toString('latin1', at, at + idPrefixLength);
    const end = line.indexOf('"', at);
    events.seen(prefix, Number(line.toString('latin1', at + idPrefixLength + 1, end)));
  }
  return lines;
}

/** SHA-256 of all text, and the number of lines: equal only for the same lines in the same order. */
export function digestOf(dir: string): { readonly sha256: string; readonly lines: number } {
  const hash = createHash('sha256');
  let lines = 0;
  for (const text of eventBlocks(dir)) {
    hash.update(text);
    for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, at + 1)) lines++;
  }
  return { sha256: hash.digest('hex'), lines };
}
