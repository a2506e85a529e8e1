import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { addonPath } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-process-'));
const file = join(folder, 'records.bin');
const bytes = Buffer.alloc(128 * 20_000);
for (let at = 11; at < bytes.length; at += 128) bytes[at] = 2;
writeFileSync(file, bytes);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prelude = `
  const native = require(process.env.ADDON);
  const start = (onChunk) => native.startReplay(process.env.RECORDS, { drainMs: 60000, chunkBytes: 1024, maxChunks: 2 }, onChunk);
  let chunks = 0;
`;

/** Runs a script in a process of its own. A hang shows as a signal. */
function run(script: string) {
  const child = spawn(process.execPath, ['-e', prelude + script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 50_000,
    killSignal: 'SIGKILL',
    env: { ...process.env, ADDON: addonPath(), RECORDS: file },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => (output.stdout += String(data)));
  child.stderr.on('data', (data) => (output.stderr += String(data)));
  return new Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...output }));
  });
}

/** Eleven workers one after the other run `body`, in which `onChunk` counts; `finish` ends each. Prints a WorkersReport. */
const inWorkers = (body: string, finish: string) => `
  const { Worker } = require('node:worker_threads');
  const fs = require('node:fs');
  const count = () => [fs.readdirSync('/proc/self/fd').length, fs.readdirSync('/proc/self/task').length];
  const body = ${JSON.stringify(prelude)} + \`
    const { parentPort, workerData } = require('node:worker_threads');
    const onChunk = () => {
      if (Atomics.add(workerData, 0, 1) === 0) parentPort.postMessage('reading');
      chunks++;
    };
  \` + ${JSON.stringify(body)};
  const read = [];
  async function once() {
    const workerData = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(body, { eval: true, stderr: true, workerData });
    worker.on('error', (error) => { if (error.message !== 'on purpose') throw error; });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    await Promise.race([exited, new Promise((resolve) => worker.once('message', resolve))]);
    ${finish}
    await exited;
    read.push(workerData[0]);
  }
  (async () => {
    await once();
    const before = count();
    for (let i = 0; i < 10; i++) await once();
    console.log(JSON.stringify({ before, after: count(), read }));
  })();
`;

interface WorkersReport {
  /** Descriptors and threads after the first worker. */
  before: number[];
  after: number[];
  /** Chunks that each worker received. */
  read: number[];
}

test('a process ends at once while a reader runs', async () => {
  expect(await run(`start(() => {}); process.exit(7);`)).toMatchObject({ code: 7, signal: null, stderr: '' });
});

test('a process ends at once from within onChunk', async () => {
  expect(await run(`start(() => { if (++chunks === 3) process.exit(7); });`)).toMatchObject({ code: 7, signal: null, stderr: '' });
});

test('a running reader keeps the process alive until it has delivered everything', async () => {
  const { code, stdout } = await run(
    `let size = 0; start((chunk) => { size += chunk.length; }); process.on('exit', () => console.log(size));`,
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${bytes.length}\n` });
});

test('an exception in onChunk is an uncaught exception', async () => {
  const { code, stderr } = await run(`start(() => { throw new Error('thrown in onChunk'); });`);
  expect(code).toBe(1);
  expect(stderr).toContain('thrown in onChunk');
});

test('a process that survives an exception in onChunk goes on reading', async () => {
  const { stdout } = await run(`
    let caught = 0;
    process.on('uncaughtException', () => caught++);
    start(() => { chunks++; throw new Error('thrown'); }).ended.then(() => console.log(caught === chunks, chunks > 100));
  `);
  expect(stdout).toBe('true true\n');
});

test.each([
  ['is terminated while it reads', 'start(onChunk);', 'await worker.terminate();'],
  ['is terminated in a busy onChunk', 'start(() => { onChunk(); for (;;); });', 'await worker.terminate();'],
  ['exits from onChunk', 'start(() => { onChunk(); if (chunks === 5) process.exit(0); });', ''],
  ['fails in onChunk', `start(() => { onChunk(); if (chunks === 5) throw new Error('on purpose'); });`, ''],
  ['ends by itself', 'start(onChunk);', ''],
])('a worker that %s leaves no thread and no descriptor', async (_, body, finish) => {
  const { code, signal, stdout, stderr } = await run(inWorkers(body, finish));
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  const { before, after, read } = JSON.parse(stdout) as WorkersReport;
  expect(after[0]).toBe(before[0]);
  // Node's own pool may start a thread meanwhile; one that each worker left behind would be ten.
  expect(after[1] - before[1]).toBeLessThan(5);
  expect(read).toHaveLength(11);
  expect(Math.min(...read)).toBeGreaterThan(0);
});
