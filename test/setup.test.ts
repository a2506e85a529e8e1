import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const isRoot = process.getuid?.() === 0;
const nobody = 65534;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'jitterscope-setup-'));
  chmodSync(folder, 0o755);
  cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true });
  mkdirSync(join(folder, 'bin'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Puts a shell script of this name into the folder that is the scripts' whole PATH. */
function fakeCommand(name: string, script: string): void {
  writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** A dpkg-query that knows the packages listed in the file `installed`, and an apt-get that notes its calls and adds to it. */
function fakeDebian(...installed: readonly string[]): void {
  writeFileSync(join(folder, 'installed'), installed.map((name) => `${name} installed\n`).join(''));
  fakeCommand('dpkg-query', `while read -r line; do echo "$line"; done < ${folder}/installed; exit 1`);
  fakeCommand(
    'apt-get',
    `echo "$DEBIAN_FRONTEND: $*" >> ${folder}/apt-calls; found=; for word; do [ -n "$found" ] && echo "$word installed" >> ${folder}/installed; [ "$word" = --no-install-recommends ] && found=1; done; exit 0`,
  );
}

/** Runs an expression on the exports of scripts/<module> in a process of its own. */
function evaluate(module: string, expression: string, user?: number) {
  const code = `import * as m from '${join(folder, 'scripts', module)}'; console.log(JSON.stringify((await (${expression})) ?? null))`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { PATH: join(folder, 'bin') },
    ...(user === undefined ? {} : { uid: user, gid: user }),
  });
  return { status, stderr, value: stdout === '' ? undefined : (JSON.parse(stdout) as unknown) };
}

const names = (expression: string) => `${expression}.map((need) => need.name)`;

test.each([
  ['16.3.0', false],
  ['18.20.8', false],
  ['20.18.3', false],
  ['20.19.0', true],
  ['22.0.0', true],
  ['24.21.0', true],
])('Node %s is new enough: %s', (version, enough) => {
  const { problemWith } = createRequire(import.meta.url)('../scripts/node-version.cjs') as {
    problemWith(version: string): string | undefined;
  };
  const problem = problemWith(version);
  expect(problem === undefined).toBe(enough);
  if (!enough) expect(problem).toMatch(new RegExp(`found Node ${version}, need Node >= 20.19.\nInstall .*nodejs.org`));
});

test('what is missing is what dpkg does not have installed; a versioned clang will do', () => {
  fakeDebian('gcc', 'clang-16', 'iproute2', 'containerd.io', 'containernetworking-plugins');
  writeFileSync(join(folder, 'installed'), 'libc6-dev config-files\n', { flag: 'a' });
  expect(evaluate('setup-system.mjs', names(`m.missingNeeds('base')`)).value).toEqual(['libc6-dev', 'libbpf-dev']);
  expect(evaluate('setup-system.mjs', names(`m.missingNeeds('test')`)).value).toEqual([
    'libc6-dev',
    'libbpf-dev',
    'nftables',
    'tcpdump',
    'openssl',
    'busybox-static',
    'prometheus',
  ]);
});

test('the demo needs a packet filter, whichever is there', () => {
  fakeDebian('gcc', 'libc6-dev', 'libbpf-dev', 'clang', 'iproute2');
  const needed = () => evaluate('setup-system.mjs', names(`m.missingNeeds('demo')`)).value;
  expect(needed()).toEqual(['nftables']);
  writeFileSync(join(folder, 'installed'), 'iptables installed\n', { flag: 'a' });
  expect(needed()).toEqual([]);
});

test.runIf(isRoot)('root installs exactly what is missing, in one go and without questions', () => {
  fakeDebian(
    'gcc',
    'libc6-dev',
    'iproute2',
    'tcpdump',
    'openssl',
    'containerd',
    'runc',
    'containernetworking-plugins',
    'busybox-static',
    'prometheus',
  );
  const { stderr, value } = evaluate('setup-system.mjs', names(`m.installNeeds(m.missingNeeds('test'), () => m.missingNeeds('test'))`));
  expect(value).toEqual([]);
  expect(readFileSync(join(folder, 'apt-calls'), 'utf8').split('\n')).toEqual([
    'noninteractive: -o DPkg::Lock::Timeout=300 update -qq',
    'noninteractive: -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends libbpf-dev clang nftables',
    '',
  ]);
  expect(stderr).toMatch(/^set-up: system packages: libbpf-dev clang nftables \.\.\. \d+\.\d s\n$/);
});

test('an apt-get that fails is quoted, with the command to try', () => {
  fakeDebian('gcc', 'libc6-dev', 'iproute2', 'clang');
  fakeCommand('apt-get', 'echo "Reading ..."; echo "E: Unable to locate package libbpf-dev" >&2; exit 100');
  const { stderr, value } = evaluate('setup-system.mjs', names(`m.installNeeds(m.missingNeeds('base'), () => m.missingNeeds('base'))`));
  expect(value).toEqual(['libbpf-dev']);
  expect(stderr).toContain('could not be installed: E: Unable to locate package libbpf-dev.');
  expect(stderr).toContain('sudo apt-get update && sudo apt-get install -y --no-install-recommends libbpf-dev\n');
});

test('without root nothing is installed; one command to paste is printed', () => {
  fakeDebian('gcc', 'libc6-dev', 'iproute2');
  const { status, stderr, value } = evaluate(
    'setup-system.mjs',
    '[m.canInstall(), m.tellMissing(m.missingNeeds("base"))]',
    isRoot ? nobody : undefined,
  );
  expect(status).toBe(0);
  expect(value).toEqual([false, null]);
  expect(stderr).toContain('missing system packages: libbpf-dev clang.');
  expect(stderr).toContain('\n    sudo apt-get update && sudo apt-get install -y --no-install-recommends libbpf-dev clang\n');
  expect(existsSync(join(folder, 'apt-calls'))).toBe(false);
});

test('without apt-get what is missing is said in words', () => {
  fakeCommand('cc', '');
  const { stderr } = evaluate('setup-system.mjs', 'm.tellMissing(m.missingNeeds("base").filter((need) => need.command !== "ip"))');
  expect(stderr).toContain('There is no apt-get here:');
  expect(stderr).toMatch(/install with your package manager: .*clang 14 or newer/);
  expect(stderr).not.toContain('a C compiler');
});

test('node_modules is taken as it is only when it holds what the lock file asks for', () => {
  const lock = (packages: object) => JSON.stringify({ packages });
  const wanted = {
    '': { name: 'x' },
    'node_modules/a': { version: '1.0.0', integrity: 'i' },
    'node_modules/b': { version: '2.0.0', optional: true },
  };
  writeFileSync(join(folder, 'package-lock.json'), lock(wanted));
  const installed = () => evaluate('setup-build.mjs', `m.packagesInstalled('${folder}')`).value;
  expect(installed()).toBe(false);
  mkdirSync(join(folder, 'node_modules'));
  const record = join(folder, 'node_modules', '.package-lock.json');
  for (const [packages, expected] of [
    [{ 'node_modules/a': { version: '1.0.0', integrity: 'i' } }, true],
    [{ 'node_modules/a': { version: '1.0.1', integrity: 'i' } }, false],
    [{ 'node_modules/a': { version: '1.0.0', integrity: 'j' } }, false],
    [{ 'node_modules/b': { version: '2.0.0' } }, false],
  ] as const) {
    writeFileSync(record, lock(packages));
    expect(installed()).toBe(expected);
  }
});

test('TypeScript is compiled again only when a source has changed, and what a deleted source left goes', { timeout: 300_000 }, () => {
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['typescript', '@types']) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'])
    cpSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, 'cli'));
  mkdirSync(join(folder, 'proto', 'gen'), { recursive: true });
  writeFileSync(join(folder, 'proto', 'gen', 'x.js'), 'export const x = 1;\n');
  const main = join(folder, 'cli', 'main.ts');
  writeFileSync(main, '#!/usr/bin/env node\nconsole.log(1);\n');
  writeFileSync(join(folder, 'cli', 'gone.ts'), 'export const gone = 1;\n');
  const built = () => evaluate('setup-build.mjs', `m.typescriptBuilt('${folder}')`).value;
  const build = () => evaluate('setup-build.mjs', `m.buildTypescript('${folder}')`);

  expect(built()).toBe(false);
  expect(build().status).toBe(0);
  expect(built()).toBe(true);
  expect(existsSync(join(folder, 'dist', 'proto', 'gen', 'x.js'))).toBe(true);
  const { stdout } = spawnSync(join(folder, 'node_modules', '.bin', 'jitterscope'), { encoding: 'utf8' });
  expect(stdout).toBe('1\n');

  utimesSync(main, 1, 1);
  expect(built()).toBe(false);
  expect(build().status).toBe(0);
  rmSync(join(folder, 'cli', 'gone.ts'));
  expect(built()).toBe(false);
  expect(build().status).toBe(0);
  expect(existsSync(join(folder, 'dist', 'cli', 'gone.js'))).toBe(false);
  for (const lost of ['dist', 'dist/cli/main.js']) {
    rmSync(join(folder, lost), { recursive: true });
    expect(built()).toBe(false);
    expect(build().status).toBe(0);
    expect(existsSync(join(folder, 'dist', 'cli', 'main.js'))).toBe(true);
  }

  // What only a test or a type says changes nothing of the program.
  writeFileSync(join(folder, 'cli', 'main.test.ts'), 'export const test = 1;\n');
  expect(built()).toBe(true);
  writeFileSync(main, 'const wrong: number = "x";\nconsole.log(wrong);\n');
  expect(build().status).toBe(0);
  expect(existsSync(join(folder, 'dist', 'cli', 'main.test.js'))).toBe(false);

  writeFileSync(main, 'const wrong: = "x";\n');
  const failed = build();
  expect(failed.status).not.toBe(0);
  expect(failed.stderr).toContain('cli/main.ts(1,14): error TS1110: Type expected.');
  expect(built()).toBe(false);
});

test('two set-ups side by side take turns, and a dead one does not hold up the next', async () => {
  mkdirSync(join(folder, 'build', 'setup.lock'), { recursive: true });
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  writeFileSync(join(folder, 'build', 'setup.lock', 'pid'), String(dead));
  const code = `
    import { appendFileSync } from 'node:fs';
    import { withLock } from '${join(folder, 'scripts', 'setup.mjs')}';
    const note = (what) => appendFileSync('${folder}/notes', what);
    await withLock('${folder}', () => { note('('); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); note(')'); });`;
  const runs = [1, 2, 3, 4].map(
    () =>
      new Promise<number | null>((resolve) => {
        spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore' }).on('exit', resolve);
      }),
  );
  expect(await Promise.all(runs)).toEqual([0, 0, 0, 0]);
  expect(readFileSync(join(folder, 'notes'), 'utf8')).toBe('()()()()');
  expect(existsSync(join(folder, 'build', 'setup.lock'))).toBe(false);
});
