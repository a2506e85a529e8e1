import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BusObserver } from './bus.ts';
import { readAll, text, until } from './contract.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';

const ROUNDS = 5;
const SPACE_MIB = 64;
const topics = [{ name: 't', partitions: 1, maxBytes: 512 * 1024 * 1024, retain: 'oldest' }] as const;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(`${tmpdir()}/jitterscope-crash-`);
  await transpile(`${dir}/program`);
});

afterAll(() => rm(dir, { recursive: true }));

/** Appends numbered messages from four callers for ever, and prints the number and offset of each one that is acknowledged. */
const APPENDER = `
import { openEmbeddedLog } from './core/bus/embedded-log.js';
const [dir, first] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, topics: ${JSON.stringify(topics)}, commitMs: 1, segmentBytes: 1 << 20 });
let number = Number(first);
const caller = async () => {
  for (;;) {
    const mine = number++;
    const offset = await log.append('t', 0, [Buffer.from(mine + ' '.repeat((mine * 7919) % 20000))]);
    process.stdout.write(mine + ' ' + offset + '\\n');
    if (mine % 10 === 0) void log.commit('g', 't', 0, { offset, metadata: String(mine) }).then(() => process.stdout.write('commit ' + offset + '\\n'));
  }
};
await Promise.all([caller(), caller(), caller(), caller()]);
`;

test(`no acknowledged message or commit is lost when the process is killed, ${ROUNDS} times`, { timeout: 120_000 }, async () => {
  await writeFile(`${dir}/program/append.js`, APPENDER);
  const acked = new Map<number, number>();
  let committed = 0;
  let started = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, [`${dir}/program/append.js`, `${dir}/log`, String(started)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const before = acked.size;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [number, offset] = line.split(' ');
      if (number === 'commit') committed = Math.max(committed, Number(offset));
      else acked.set(Number(offset), Number(number));
    });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await until(() => acked.size > before + 150 + round * 37 || child.exitCode !== null);
    child.kill('SIGKILL');
    await ended;
    expect(child.signalCode).toBe('SIGKILL');
    started = Math.max(...acked.values()) + 1000;
    const losses: unknown[] = [];
    const log = await openEmbeddedLog({ dir: `${dir}/log`, topics, observer: { lost: (loss) => losses.push(loss) } });
    const { next } = await log.offsets('t', 0);
    const read = await readAll(log, 't', 0, 0, next);
    await log.close();
    expect(read.holes).toEqual([]);
    expect(losses.filter((loss) => (loss as { reason: string }).reason !== 'torn_tail')).toEqual([]);
    const numbers = new Map(read.offsets.map((offset, index) => [offset, Number.parseInt(read.values[index], 10)]));
    const missing = [...acked].filter(([offset, number]) => numbers.get(offset) !== number);
    expect(missing).toEqual([]);
    const commit = await withLog(`${dir}/log`, (again) => again.committed('g', 't', 0));
    expect(commit?.offset).toBeGreaterThanOrEqual(committed);
  }
  expect(acked.size).toBeGreaterThan(ROUNDS * 150);
});

const root = process.getuid?.() === 0;
if (!root)
  console.warn(
    `SKIPPED core/bus/crash.test.ts, a full disk of ${SPACE_MIB} MiB: mounting one needs root : sudo npx vitest run core/bus/crash.test.ts`,
  );

test.skipIf(!root)(`a full disk refuses appends and commits, and both go on when there is space again`, { timeout: 120_000 }, async () => {
  const mount = `${dir}/small`;
  await mkdir(mount);
  run('mount', ['-t', 'tmpfs', '-o', `size=${SPACE_MIB}m`, 'tmpfs', mount]);
  try {
    await withLog(`${mount}/log`, async (log) => {
      await log.append('t', 0, [text('first')]);
      await writeFile(`${mount}/ballast`, Buffer.alloc((SPACE_MIB - 20) * 1024 * 1024));
      const acked: number[] = [];
      let refusal: unknown;
      for (let number = 0; number < 1000 && refusal === undefined; number++) {
        await log.append('t', 0, [Buffer.alloc(100_000, number)]).then(
          (offset) => acked.push(offset),
          (error: unknown) => (refusal = error),
        );
      }
      expect(refusal).toMatchObject({ code: 'BUS_DISK_FULL', retryable: true });
      // The last free pages go too.
      await writeFile(`${mount}/rest`, Buffer.alloc(1024 * 1024)).catch(() => undefined);
      await expect(log.commit('g', 't', 0, { offset: 1, metadata: 'x'.repeat(4096) })).rejects.toMatchObject({ code: 'BUS_DISK_FULL' });
      await expect(log.append('t', 0, [Buffer.alloc(100_000)])).rejects.toMatchObject({ code: 'BUS_DISK_FULL' });
      await rm(`${mount}/ballast`);
      await rm(`${mount}/rest`);
      const next = await log.append('t', 0, [text('last')]);
      expect(next).toBe(acked.length + 1);
      await log.commit('g', 't', 0, { offset: next, metadata: '' });
    });
    await withLog(`${mount}/log`, async (log) => {
      const { next } = await log.offsets('t', 0);
      const read = await readAll(log, 't', 0, 0, next);
      expect(read.holes).toEqual([]);
      expect(read.values.at(0)).toBe('first');
      expect(read.values.at(-1)).toBe('last');
      expect(await log.committed('g', 't', 0)).toEqual({ offset: next - 1, metadata: '' });
    });
  } finally {
    run('umount', [mount]);
  }
});

async function withLog<Result>(path: string, body: (log: EmbeddedLog) => Promise<Result>): Promise<Result> {
  const observer: BusObserver = {};
  const log = await openEmbeddedLog({ dir: path, topics, observer, commitMs: 1 });
  try {
    return await body(log);
  } finally {
    await log.close();
  }
}

/** Compiles what the bus needs, so that a plain node can be started with it and killed. */
async function transpile(out: string): Promise<void> {
  const sources = fileURLToPath(new URL('../..', import.meta.url));
  for (const folder of ['core', 'core/bus', 'native']) {
    await mkdir(`${out}/${folder}`, { recursive: true });
    for (const name of await readdir(`${sources}/${folder}`)) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const { outputText } = ts.transpileModule(await readFile(`${sources}/${folder}/${name}`, 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          rewriteRelativeImportExtensions: true,
          verbatimModuleSyntax: true,
        },
      });
      await writeFile(`${out}/${folder}/${name.replace(/\.ts$/, '.js')}`, outputText);
    }
  }
  await writeFile(`${out}/package.json`, '{"type":"module"}');
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
