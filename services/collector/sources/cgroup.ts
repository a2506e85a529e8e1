import { closeSync, openSync, readSync } from 'node:fs';
import type { CgroupTarget } from '../identity/cri/container-cgroup.ts';
import { FieldTable, type LayoutNumbers } from './field-table.ts';
import { keyValues } from './key-lines.ts';
import { type TakeReading, wholeTarget } from './source.ts';
import { type FoundValue, TextParser } from './text-parser.ts';

interface CgroupFile {
  readonly name: string;
  /** Field names of its values: the names that v2 gives them. */
  values(text: string): FoundValue[];
}

const single =
  (field: string) =>
  (text: string): FoundValue[] =>
    text.trim() === '' ? [] : [{ field, at: 0 }];
const renamed =
  (prefix: string, names: Readonly<Record<string, string>>) =>
  (text: string): FoundValue[] =>
    keyValues(text).map(({ field, at }) => ({ field: names[field] ?? `${prefix}${field}`, at }));

/** Files of v2 (Documentation/admin-guide/cgroup-v2.rst). */
const unifiedFiles: readonly CgroupFile[] = [
  { name: 'cpu.stat', values: (text) => keyValues(text, 'cpu.') },
  { name: 'memory.current', values: single('memory.current') },
  { name: 'memory.max', values: single('memory.max') },
  { name: 'memory.events', values: (text) => keyValues(text, 'memory.events.') },
  { name: 'memory.stat', values: (text) => keyValues(text, 'memory.stat.') },
];

/** Files of v1, by hierarchy (Documentation/admin-guide/cgroup-v1). */
const legacyFiles: { readonly [hierarchy in 'cpu' | 'cpuacct' | 'memory']: readonly CgroupFile[] } = {
  cpu: [{ name: 'cpu.stat', values: renamed('cpu.', { throttled_time: 'cpu.throttled_usec', burst_time: 'cpu.burst_usec' }) }],
  cpuacct: [
    { name: 'cpuacct.usage', values: single('cpu.usage_usec') },
    { name: 'cpuacct.usage_user', values: single('cpu.user_usec') },
    { name: 'cpuacct.usage_sys', values: single('cpu.system_usec') },
  ],
  memory: [
    { name: 'memory.usage_in_bytes', values: single('memory.current') },
    { name: 'memory.limit_in_bytes', values: single('memory.max') },
    { name: 'memory.failcnt', values: single('memory.events.max') },
    { name: 'memory.oom_control', values: renamed('memory.oom_control.', { oom_kill: 'memory.events.oom_kill' }) },
    { name: 'memory.stat', values: (text) => keyValues(text, 'memory.stat.') },
  ],
};

/** v1 counts these in nanoseconds. */
const nanoseconds = new Set(['cpu.throttled_usec', 'cpu.burst_usec', 'cpu.usage_usec', 'cpu.user_usec', 'cpu.system_usec']);
/** For no limit v1 prints the largest number of whole pages, and v2 a word: both are shown as what v1 prints, rounded. */
const unlimited = 2 ** 63;
const leastUnlimited = 2 ** 62;
const maxTextBytes = 64 * 1024;

/** Reads CPU and memory of containers' cgroups. All files of one cgroup are read as one text, with a line above each. */
export class CgroupSource {
  readonly name = 'cgroup';
  readonly #table: FieldTable;
  readonly #unified: TextParser;
  readonly #legacy: TextParser;
  readonly #buffer = Buffer.alloc(maxTextBytes);

  constructor(numbers: LayoutNumbers) {
    this.#table = new FieldTable(this.name, numbers, 64);
    this.#unified = new TextParser(this.#table, (text) => valuesOf(text, unifiedFiles));
    this.#legacy = new TextParser(this.#table, (text) => valuesOf(text, Object.values(legacyFiles).flat()));
  }

  /** @returns false when none of its files can be read: it is gone */
  read(target: CgroupTarget, take: TakeReading, anew: boolean): boolean {
    const { unified } = target;
    const isLegacy = target.cpu !== undefined || target.memory !== undefined;
    let length = 0;
    if (isLegacy) {
      for (const hierarchy of ['cpu', 'cpuacct', 'memory'] as const) {
        const path = target[hierarchy];
        if (path !== undefined) for (const { name } of legacyFiles[hierarchy]) length = this.#append(path, name, length);
      }
    } else if (unified !== undefined) for (const { name } of unifiedFiles) length = this.#append(unified, name, length);
    if (length === 0) return false;
    const parser = isLegacy ? this.#legacy : this.#unified;
    const text = this.#buffer.subarray(0, length);
    const reading = anew ? parser.parseAnew(text) : parser.parse(text);
    if (reading === undefined) return false;
    for (let i = 0; i < reading.columns.length; i++) {
      const field = this.#table.fieldAt(reading.columns[i]) ?? '';
      const value = reading.values[i];
      if (isLegacy && nanoseconds.has(field)) reading.values[i] = value / 1e3;
      else if (field === 'memory.max' && (value < 0 || value >= leastUnlimited)) reading.values[i] = unlimited;
    }
    take(wholeTarget, reading);
    return true;
  }

  /** Appends a file's text below a line with its name; nothing when it cannot be read. */
  #append(folder: string, name: string, at: number): number {
    const begin = at + this.#buffer.write(`@${name}\n`, at, 'latin1');
    const end = readInto(`${folder}/${name}`, this.#buffer, begin);
    if (end < 0) return at;
    // v2 says "max" for no limit.
    if (name === 'memory.max' && this.#buffer.toString('latin1', begin, end) === 'max\n')
      return begin + this.#buffer.write('-1\n', begin, 'latin1');
    return end;
  }
}

function valuesOf(text: string, files: readonly CgroupFile[]): FoundValue[] {
  const found: FoundValue[] = [];
  for (let at = 0; at >= 0 && at < text.length; ) {
    const begin = text.indexOf('\n', at) + 1;
    const next = text.indexOf('\n@', begin - 1);
    const end = next < 0 ? text.length : next + 1;
    const file = files.find(({ name }) => text.startsWith(`@${name}\n`, at));
    if (file !== undefined) for (const value of file.values(text.slice(begin, end))) found.push({ ...value, at: begin + value.at });
    at = end;
  }
  return found;
}

/** Reads a file to the end of the buffer at most; the offset behind it, or -1. */
function readInto(path: string, buffer: Buffer, from: number): number {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return -1;
  }
  try {
    let at = from;
    for (;;) {
      const got = readSync(fd, buffer, at, buffer.length - at, null);
      at += got;
      if (got === 0 || at === buffer.length) return at;
    }
  } catch {
    // The cgroup was removed, or its controller is off.
    return -1;
  } finally {
    closeSync(fd);
  }
}
