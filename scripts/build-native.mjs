// Builds what is written in C and out of date: the addon into build/, the BPF objects into build/bpf/. With
// --sanitize the addon with AddressSanitizer and UndefinedBehaviorSanitizer into build/sanitize/ instead.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const self = fileURLToPath(import.meta.url);
const targetArch = { x64: 'x86', arm64: 'arm64' }[process.arch];
const warnings = ['-Wall', '-Werror'];
// Node unloads an addon with the last worker that loaded it; its thread and libbpf's callback outlive that one.
const addonFlags = ['-O2', '-g', ...warnings, '-Wextra', '-fPIC', '-shared', '-fvisibility=hidden', '-Wl,-z,nodelete'];
const sanitizeFlags = ['-fsanitize=address,undefined', '-fno-omit-frame-pointer', '-fno-sanitize-recover=undefined'];
const bpfFlags = ['-g', '-O2', '-mcpu=v3', '-target', 'bpf', `-D__TARGET_ARCH_${targetArch}`, ...warnings];
const bpfCompilers = ['clang', 'clang-19', 'clang-18', 'clang-17', 'clang-16', 'clang-15', 'clang-14'];

/** A part that is missing, or a source that does not compile: `output` has the compiler's words. */
export class BuildFailure extends Error {
  constructor(message, output = '') {
    super(message);
    this.output = output;
  }
}

function filesIn(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name))
    .sort();
}

function foldersIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}

function upToDate(output, inputs) {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return inputs.every((input) => statSync(input).mtimeMs <= built);
}

/** The first of these compilers that is here. */
function findCompiler(names) {
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

function nodeApiHeaders() {
  const required = createRequire(self);
  try {
    return required('node-api-headers').include_dir;
  } catch {
    throw new BuildFailure('the npm package node-api-headers is missing: run npm ci');
  }
}

function checkLibbpf(compiler) {
  const input = '#include <bpf/libbpf.h>\n#if LIBBPF_MAJOR_VERSION < 1\n#error old\n#endif\n';
  const { status, stderr } = spawnSync(compiler, ['-E', '-x', 'c', '-', '-o', '/dev/null'], { input, encoding: 'utf8' });
  if (status === 0) return;
  const found = stderr.includes('#error') ? 'libbpf is older than 1.0' : 'the headers of libbpf are missing';
  throw new BuildFailure(`${found}: install Debian package libbpf-dev (1.0 or newer)`);
}

/** Compiles into a file beside the output and renames it: nobody ever sees half an object. */
function compile(compiler, args, output) {
  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}.tmp`;
  const started = new Date();
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, [...args, '-o', temporary], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const words = [];
    child.stdout.on('data', (data) => words.push(data));
    child.stderr.on('data', (data) => words.push(data));
    child.on('error', reject);
    child.on('close', (status) => {
      if (status !== 0) {
        rmSync(temporary, { force: true });
        reject(new BuildFailure(`${relative(root, output)} does not compile`, Buffer.concat(words).toString()));
        return;
      }
      // A source that is changed while the compiler runs is newer than its object.
      utimesSync(temporary, started, started);
      renameSync(temporary, output);
      resolve(relative(root, output));
    });
  });
}

/** The addon when it is out of date. */
function addonJobs(sanitize) {
  const sources = filesIn(join(root, 'native'), /\.c$/);
  const headers = filesIn(join(root, 'native'), /\.h$/);
  const output = join(root, 'build', sanitize ? 'sanitize' : '.', 'jitterscope.node');
  if (upToDate(output, [...sources, ...headers, self])) return [];
  const compiler = findCompiler(['cc', 'gcc', 'clang']);
  if (!compiler) throw new BuildFailure('no C compiler (cc): install Debian package gcc');
  const include = nodeApiHeaders();
  checkLibbpf(compiler);
  const flags = sanitize ? [...addonFlags, ...sanitizeFlags] : addonFlags;
  const files = sources.map((source) => relative(root, source));
  return [() => compile(compiler, [...flags, `-I${include}`, ...files, '-lbpf', '-pthread'], output)];
}

function bpfJob(source, output, compiler) {
  return () => compile(compiler, [...bpfFlags, `-I${join('bpf', 'include')}`, '-c', relative(root, source)], output);
}

/** The BPF objects that are out of date. */
function bpfJobs() {
  const headers = filesIn(join(root, 'bpf', 'include'), /\.h$/);
  const groups = foldersIn(join(root, 'bpf'))
    .map((folder) => ({ folder, into: join(root, 'build', 'bpf') }))
    .concat({ folder: join(root, 'test', 'bpf'), into: join(root, 'build', 'bpf', 'test') });
  const outdated = groups.flatMap(({ folder, into }) => {
    const own = filesIn(folder, /\.h$/);
    return filesIn(folder, /\.bpf\.c$/)
      .map((source) => ({ source, output: join(into, basename(source).replace(/\.c$/, '.o')) }))
      .filter(({ source, output }) => !upToDate(output, [source, ...own, ...headers, self]));
  });
  if (outdated.length === 0) return [];
  const compiler = findCompiler(bpfCompilers);
  if (compiler) return outdated.map(({ source, output }) => bpfJob(source, output, compiler));
  const lacking = outdated.filter(({ output }) => !existsSync(output));
  if (lacking.length > 0) throw new BuildFailure('no BPF compiler (clang 14 or newer): install Debian package clang');
  process.stderr.write('build-native: no clang here: going on with the BPF objects as they are\n');
  return [];
}

/** Jobs and failures of one part: what one part lacks does not keep the other from being built. */
function planned(plan) {
  try {
    return { jobs: plan(), failures: [] };
  } catch (thrown) {
    return { jobs: [], failures: [thrown] };
  }
}

/**
 * Builds what is out of date. Resolves with the paths it wrote, relative to the root; rejects with a BuildFailure.
 * @param options sanitize: the addon with the sanitizers instead of the one in use
 */
export async function buildNative(options = {}) {
  if (!targetArch) throw new BuildFailure(`processor ${process.arch} is not supported: x64 or arm64`);
  const parts = [planned(() => addonJobs(options.sanitize === true)), planned(bpfJobs)];
  const results = await Promise.allSettled(parts.flatMap(({ jobs }) => jobs).map((job) => job()));
  const failures = parts.flatMap((part) => part.failures).concat(results.flatMap((result) => result.reason ?? []));
  if (failures.length > 0) {
    const messages = failures.map((failure) => failure.message);
    throw new BuildFailure(messages.join('; '), failures.map((failure) => failure.output ?? '').join(''));
  }
  return results.map((result) => result.value);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  try {
    for (const path of await buildNative({ sanitize: process.argv.includes('--sanitize') })) process.stdout.write(`built ${path}\n`);
  } catch (thrown) {
    process.stderr.write(`build-native: ${thrown.message}\n${thrown.output ?? ''}`);
    process.exitCode = 1;
  }
}
