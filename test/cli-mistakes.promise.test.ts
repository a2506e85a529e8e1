import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { probes } from '../bpf/registry.ts';
import { CaptureWriter } from '../core/capture.ts';
import { encodeTick } from '../services/gateway/raw-encoder.ts';
import { eventually } from './lab/eventually.ts';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'jitterscope-mistakes-'));
const at = (name: string): string => join(dir, name);
let folders = 0;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end; a data folder of its own unless one is named. */
function jitterscope(args: readonly string[], environment: Readonly<Record<string, string>> = {}, cwd = dir): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', JITTERSCOPE_METRICS__LISTEN: 'off', ...environment },
  });
  const ended: { stdout: string; stderr: string } = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (ended.stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (ended.stderr += bytes.toString()));
  onTestFinished(() => void child.kill('SIGKILL'));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...ended })));
}

/** A mistake ends with its exit code and a message that says what was found and what to do; never with a stack. */
function expectMistake({ code, stdout, stderr }: Ended, expected: number, ...says: readonly (string | RegExp)[]): void {
  expect(stderr + stdout).not.toMatch(/^\s+at .*:\d+|node:internal|This is a defect|UnhandledPromise|\[object Object\]|undefined/m);
  for (const text of says) {
    if (typeof text === 'string') expect(stderr).toContain(text);
    else expect(stderr).toMatch(text);
  }
  expect(code).toBe(expected);
}

/** A run that needs no privilege. */
const noProbes = probes.flatMap(({ name }) => ['--set', `collector.probes.${name}.enabled=false`]);

const dataDir = (): string => at(`data-${folders++}`);

beforeAll(async () => {
  const good = new CaptureWriter(at('good.jscap'));
  for (let n = 1; n < 4; n++) await good.write(encodeTick(n));
  await good.close();
  writeFileSync(at('empty'), '');
  writeFileSync(at('text.jscap'), '{"not": "a capture"}\n');
  writeFileSync(at('text.jscap.gz'), gzipSync('not a capture either'));
  writeFileSync(at('broken.jscap.gz'), Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(40, 7)]));
  const cut = new CaptureWriter(at('cut.jscap'));
  await cut.write(encodeTick(1));
  await cut.close();
  appendFileSync(at('cut.jscap'), Buffer.from('20000000', 'hex'));
  writeFileSync(at('syntax.yaml'), 'log:\n  level: info\n bad: [\n');
  writeFileSync(at('list.yaml'), '- a\n- b\n');
  writeFileSync(at('program'), Buffer.from('7f454c46020101000000000000000000030a3e000100', 'hex'));
  writeFileSync(at('unknown.yaml'), 'colector:\n  burst: 5\n');
  writeFileSync(at('type.yaml'), 'collector:\n  burst: many\n  batchLinger: 5\n');
  writeFileSync(at('file'), '');
  mkdirSync(at('folder'));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

// Usage: 2.
test.each<[string, string[], (string | RegExp)[]]>([
  ['an unknown command', ['runn'], [/unknown command 'runn'/, /Did you mean run\?/, /--help/]],
  ['no command', [], [/Usage: jitterscope/, /Commands:/]],
  ['an unknown option', ['run', '--durations', '5s'], [/unknown option '--durations'/, /--duration\b/]],
  ['an option without its value', ['run', '--duration'], [/--duration <time>.*argument missing/]],
  ['a duration without a unit', ['run', '--duration', '5'], [/'5' is invalid/, /expected a duration such as 30s/]],
  ['a duration of words', ['run', '--duration', 'soon'], [/'soon' is invalid/, /expected a duration/]],
  ['a duration that no timer waits', ['run', '--duration', '30d'], [/'30d' is invalid/, /24d/]],
  ['a size without a unit', ['replay', 'good.jscap', '--batch-size', '5'], [/'5' is invalid/, /expected a size such as 64KiB/]],
  [
    'an unknown role',
    ['run', '--role', 'colector'],
    [/'colector' is invalid/, /expected one of all, collector, gateway, aggregator, sinks/],
  ],
  ['a replay of nothing', ['replay'], [/missing required argument 'file'/]],
  ['an argument too many', ['version', 'now'], [/too many arguments/]],
  ['an unknown command of probes', ['probes', 'lst'], [/unknown command 'lst'/, /Did you mean list\?/]],
  ['an unknown command of config', ['config', 'chek'], [/unknown command 'chek'/, /Did you mean check\?/]],
  ['an unknown command of rules', ['rules', 'chek'], [/unknown command 'chek'/, /Did you mean check\?/]],
  ['a probe without its name', ['probes', 'enable'], [/missing required argument 'name'/]],
  ['two probes at once', ['probes', 'disable', 'tcpreset', 'tcplife'], [/too many arguments/]],
  [
    'an order for a time without a unit',
    ['probes', 'enable', 'tcpreset', '--for', '5'],
    [/'5' is invalid/, /expected a duration such as 30s/],
  ],
  ['an order for no time', ['probes', 'enable', 'tcpreset', '--for', '0s'], [/'0s' is invalid/, /expected a duration above 0/]],
  ['a Pod without its namespace', ['probes', 'enable', 'tcpreset', '--pod', 'web-0'], [/'web-0' is invalid/, /such as shop\/web-0/]],
  ['a namespace that is a path', ['probes', 'enable', 'tcpreset', '--netns', '/run/netns/a'], [/is invalid/, /ip netns list/]],
  ['a Pod and a namespace', ['probes', 'enable', 'tcpreset', '--pod', 'a/b', '--netns', 'c'], [/--pod.*cannot be used with.*--netns/]],
  ['a doctor of something', ['doctor', 'tcpreset'], [/too many arguments/]],
])('%s', async (_, args, says) => {
  expectMistake(await jitterscope(args), 2, ...says);
});

// Configuration: 78.
test.each<[string, string[], (string | RegExp)[]]>([
  ['a configuration that is not there', ['--config', 'missing.yaml'], ['missing.yaml', /ENOENT/, /path/]],
  ['a folder as configuration', ['--config', 'folder'], ['folder', /EISDIR/]],
  ['a configuration that is no YAML', ['--config', 'syntax.yaml'], ['syntax.yaml:3:1', /not valid YAML: found "bad: \[", expected /]],
  ['a program as configuration', ['--config', 'program'], ['program:1:1', /found ".*", expected a mapping of sections/]],
  ['a configuration that is a list', ['--config', 'list.yaml'], ['list.yaml:1:1', /expected a mapping of sections/]],
  ['an unknown section in it', ['--config', 'unknown.yaml'], [/unknown\.yaml:1:1: colector: no such setting; did you mean collector\?/]],
  [
    'wrong types in it',
    ['--config', 'type.yaml'],
    [
      /type\.yaml:2:10: collector\.burst: found "many", expected a whole number from 1 to 1000000/,
      /type\.yaml:3:16: collector\.batchLinger: found 5, expected a duration such as 30s/,
    ],
  ],
  ['a setting without a value', ['--set', 'node.name'], [/--set node\.name: expected path\.to\.key=value/]],
  ['an unknown setting', ['--set', 'collector.bursts=5'], [/collector\.bursts: no such setting; did you mean burst\?/]],
  ['a setting out of range', ['--set', 'collector.burst=0'], [/collector\.burst: found 0, expected a whole number from 1 to/]],
  ['a value that is no YAML', ['--set', 'node.name=[a'], [/--set node\.name: the value is not valid YAML/]],
  ['a place to listen without a port', ['--set', 'metrics.listen=localhost'], [/metrics\.listen: .*host:port, \[IPv6\]:port, or off/]],
  ['a node without a name', ['--set', 'node.name='], [/node\.name: /]],
])('%s', async (_, args, says) => {
  for (const command of [
    ['run', '--duration', '1s'],
    ['replay', 'good.jscap'],
  ]) {
    expectMistake(await jitterscope([...command, '--data-dir', dataDir(), ...args]), 78, ...says);
  }
});

test.each([
  ['is not there', 'missing', /ENOENT/],
  ['is a file', 'file', /another kind of file/],
])("a node's network namespace that %s", async (_, name, says) => {
  const args = ['--data-dir', dataDir(), '--set', `collector.hostNetns=${at(name)}`];
  const ended = await jitterscope(['run', '--duration', '1s', ...args, ...noProbes]);
  expectMistake(ended, 78, /collector\.hostNetns: found /, at(name), says, /\/proc\/1\/ns\/net/);
  const { code, stdout } = await jitterscope(['doctor', ...args]);
  expect([code, stdout]).toEqual([1, expect.stringMatching(/failed .*node's network namespace: .*no network namespace/)]);
});

test('a doctor with a configuration that is wrong', async () => {
  expectMistake(await jitterscope(['doctor', '--config', 'missing.yaml', '--data-dir', dataDir()]), 78, 'missing.yaml', /ENOENT/);
  expectMistake(await jitterscope(['doctor', '--set', 'collector.bursts=5', '--data-dir', dataDir()]), 78, /did you mean burst\?/);
});

test('a check of a configuration names all mistakes, and a good one is told so', async () => {
  const bad = await jitterscope(['config', 'check', 'type.yaml', '--set', 'log.level=loud']);
  expectMistake(bad, 78, /type\.yaml:2:10: collector\.burst: found "many"/, /type\.yaml:3:16: /, /--set: log\.level: found "loud"/);
  const { stdout, code } = await jitterscope(['config', 'check', 'type.yaml', '--json']);
  expect(code).toBe(78);
  expect(JSON.parse(stdout)).toMatchObject({ valid: false, problems: [{ file: 'type.yaml', line: 2, column: 10 }, { line: 3 }] });
  expect(await jitterscope(['config', 'check', 'empty'])).toMatchObject({ code: 0, stdout: 'empty: valid\n' });
  expectMistake(await jitterscope(['config', 'check', 'missing.yaml']), 78, 'missing.yaml', /ENOENT/);
  expectMistake(await jitterscope(['config', 'show', '--config', 'unknown.yaml']), 78, /colector: no such setting/);
  expectMistake(await jitterscope(['config', 'chek']), 2, /unknown command 'chek'/, /check/);
});

test('a variable of the environment that is no setting', async () => {
  const environment = { JITTERSCOPE_COLLECTOR__BURSTS: '5' };
  expectMistake(
    await jitterscope(['run', '--duration', '1s', '--data-dir', dataDir()], environment),
    78,
    /collector\.bursts: no such setting; did you mean burst\?/,
  );
});

// Captures: 78.
test.each<[string, string, RegExp]>([
  ['that is not there', 'missing.jscap', /cannot read the capture .*missing\.jscap: .*ENOENT/],
  ['that is a folder', 'folder', /cannot read the capture .*folder/],
  ['of no bytes', 'empty', /empty is not a capture: it has 0 bytes/],
  ['of text', 'text.jscap', /text\.jscap is not a capture: it does not begin with JSCAP1/],
  ['of compressed text', 'text.jscap.gz', /is not a capture/],
  ['that is no gzip', 'broken.jscap.gz', /is (not a capture|damaged)/],
  ['that is cut off', 'cut.jscap', /damaged at message 1: it ends within the message/],
])('a capture %s', async (_, file, says) => {
  expectMistake(await jitterscope(['replay', file, '--data-dir', dataDir()]), 78, says);
});

test('what is whole of a damaged capture is replayed', async () => {
  const { stdout } = await jitterscope(['replay', 'good.jscap', '--data-dir', dataDir()]);
  expect(stdout).toMatch(/3 messages of /);
});

test('a capture that cannot be written', async () => {
  const data = dataDir();
  expectMistake(
    await jitterscope(['run', '--duration', '1s', '--data-dir', data, '--record', at('no/such/folder/a.jscap')]),
    78,
    /cannot write the capture .*a\.jscap/,
    /folder that exists/,
  );
});

// The data folder.
test('a data folder that another process holds is named with its holder, who takes no order that makes no sense', async () => {
  const data = dataDir();
  const holder = spawn(process.execPath, [main, 'run', '--data-dir', data, ...noProbes], {
    cwd: dir,
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', JITTERSCOPE_METRICS__LISTEN: 'off' },
    stdio: 'ignore',
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await eventually('the holder listens', () => {
    try {
      return readdirSync(data).includes('control.sock');
    } catch {
      return false;
    }
  });
  for (const args of [
    ['run', '--duration', '1s'],
    ['replay', 'good.jscap'],
  ]) {
    expectMistake(await jitterscope([...args, '--data-dir', data]), 75, data, `process ${holder.pid}`, /--data-dir/);
  }
  expectMistake(await jitterscope(['tap', '--data-dir', data, '--nothing']), 2, /unknown option/);
  expectMistake(await jitterscope(['tap', '--data-dir', data, '--pod', 'a/b/c']), 2, /expected a Pod such as shop\/web-0/);
  const elsewhere = ['tap', '--data-dir', data, '--pod', 'a/b', '--namespace', 'c'];
  expectMistake(await jitterscope(elsewhere), 2, /--pod a\/b is not in --namespace c: leave one of them out/);
  const tap = async (...args: string[]): Promise<Ended> => jitterscope(['tap', '--data-dir', data, ...args]);
  expectMistake(await tap('--type', 'tcpresett'), 2, /no event or finding has the type tcpresett; did you mean tcpreset\?/, /rules list/);
  expectMistake(await tap('--type', 'nothing-such'), 2, /expected one of tcpreset, .*accept-queue-saturation/);
  expectMistake(await tap('--type', 'tcpreset', '--findings'), 2, /no finding has the type tcpreset; /);
  const order = async (...args: string[]): Promise<Ended> => jitterscope(['probes', ...args, '--data-dir', data]);
  expectMistake(await order('enable', 'tcprest'), 2, /there is no probe tcprest; did you mean tcpreset\?/, /probes list/);
  expectMistake(await order('disable', 'dns'), 2, /there is no probe dns; expected one of tcpreset/);
  expectMistake(await order('enable', 'tcpreset', '--pod', 'no/such'), 2, /there is no Pod no\/such on this node/, /namespace\/name/);
  expectMistake(await order('disable', 'tcpreset', '--netns', 'no-such'), 2, /there is no network namespace no-such/, /\/run\/netns/);
  const exited = new Promise((resolve) => holder.once('exit', resolve));
  holder.kill('SIGTERM');
  expect(await exited).toBe(143);
});

test('a file where the data folder should be', async () => {
  for (const args of [
    ['run', '--duration', '1s'],
    ['replay', 'good.jscap'],
  ]) {
    expectMistake(await jitterscope([...args, '--data-dir', at('file')]), 78, at('file'), /data folder/, /--data-dir/);
  }
  for (const folder of [at('file'), at('file/data')]) {
    const { code, stdout } = await jitterscope(['doctor', '--data-dir', folder]);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/failed +data .*is a file/)]);
  }
});

test('a data folder that may not be written', async () => {
  // For root only a file system that takes no folder at all is one.
  const data = process.getuid?.() === 0 ? '/sys/jitterscope-data' : dataDir();
  if (process.getuid?.() !== 0) mkdirSync(data, { mode: 0o500 });
  expectMistake(await jitterscope(['replay', 'good.jscap', '--data-dir', data]), 78, `data folder ${data} cannot be used`, /--data-dir/);
  const below = at('file/data');
  expectMistake(await jitterscope(['run', '--duration', '1s', '--data-dir', below]), 78, below, /ENOTDIR/);
});

test('a port for metrics that is in use', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  onTestFinished(() => void server.close());
  const listen = `127.0.0.1:${port}`;
  expectMistake(
    await jitterscope(['run', '--duration', '20s', '--data-dir', dataDir(), '--set', `metrics.listen=${listen}`]),
    75,
    `cannot serve metrics on ${listen}`,
    /EADDRINUSE/,
    /metrics\.listen/,
  );
});

test.each(['127.0.0.1:99999', 'no.such.host.invalid:9464', '203.0.113.7:9464'])(
  'metrics on %s, which is no place to listen',
  async (listen) => {
    const ended = await jitterscope(['run', '--duration', '20s', '--data-dir', dataDir(), '--set', `metrics.listen=${listen}`]);
    expect([75, 78]).toContain(ended.code);
    expectMistake(ended, ended.code ?? -1, listen, /metrics\.listen/);
  },
);

test.each([[['tap']], [['probes', 'list']], [['probes', 'enable', 'tcpreset']]])('%j where nobody runs', async (command) => {
  const asked = await jitterscope([...command, '--data-dir', dataDir()]);
  expectMistake(asked, 75, /no jitterscope answers at .*control\.sock/, /npm start/, /--data-dir/);
});

test('a tap that is interrupted ends', async () => {
  const data = dataDir();
  const running = spawn(process.execPath, [main, 'run', '--data-dir', data, ...noProbes], {
    cwd: dir,
    env: { PATH: process.env.PATH ?? '', JITTERSCOPE_METRICS__LISTEN: 'off' },
    stdio: 'ignore',
  });
  onTestFinished(() => void running.kill('SIGKILL'));
  await eventually('it listens', () => {
    try {
      return readdirSync(data).includes('control.sock');
    } catch {
      return false;
    }
  });
  const tap = spawn(process.execPath, [main, 'tap', '--data-dir', data], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void tap.kill('SIGKILL'));
  let stderr = '';
  tap.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  const exited = new Promise<number | null>((resolve) => tap.once('exit', resolve));
  // The socket that listens, and the one that was accepted.
  const sockets = (): number =>
    readFileSync('/proc/net/unix', 'latin1')
      .split('\n')
      .filter((line) => line.endsWith(join(data, 'control.sock'))).length;
  await eventually('the tap is connected', () => sockets() === 2);
  tap.kill('SIGINT');
  expect([0, 130]).toContain(await exited);
  expect(stderr).toBe('');
});

test('help and version are no mistakes', () => {
  for (const args of [['--help'], ['run', '--help'], ['--version'], ['version']]) {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  }
});
