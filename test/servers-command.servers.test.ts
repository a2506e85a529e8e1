import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { temporaryFolder } from './support/data-folder.ts';

const entry = fileURLToPath(new URL('../scripts/main.cjs', import.meta.url));
const folder = temporaryFolder();
let command: ChildProcess | undefined;

afterEach(() => {
  command?.kill('SIGKILL');
  folder.remove();
});

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** The running server as the command tells it. */
async function started(dataDir: string): Promise<{ child: ChildProcess; port: number; pid: number }> {
  const child = spawn(process.execPath, [entry, 'servers', 'kafka', '--data-dir', dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  command = child;
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [, port, pid] = /at 127\.0\.0\.1:(\d+) \(process (\d+), /.exec(String(line)) ?? [];
  return { child, port: Number(port), pid: Number(pid) };
}

test('npm run servers starts a real server in the foreground: it stops with ^C, dies with its starter, and keeps its ports', async () => {
  const first = await started(folder.path);
  expect(await answers(first.port)).toBe(true);
  first.child.kill('SIGINT');
  expect(await once(first.child, 'exit')).toEqual([0, null]);
  expect(await answers(first.port)).toBe(false);

  const second = await started(folder.path);
  expect(second.port).toBe(first.port);
  second.child.kill('SIGKILL');
  await eventually('the server is gone with its starter', async () => !(await answers(second.port)));
});

test.each([
  [['kafkaa'], 'unknown server kafkaa'],
  [[], 'which server?'],
  [['kafka', '--port'], 'unknown option --port'],
])('npm run servers -- %j is refused with the usage', (args, problem) => {
  const { status, stderr } = spawnSync(process.execPath, [entry, 'servers', ...args], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain(problem);
  expect(stderr).toMatch(/usage: npm run servers -- <kafka\|/);
});
