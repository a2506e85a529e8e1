// npm packages, native code and TypeScript: each is done again only when what it is made of has changed.
import { createHash } from 'node:crypto';
import fs, {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { run } from './step.mjs';

const sourceFolders = ['schema', 'proto', 'bpf', 'native', 'services', 'core', 'cli', 'test', 'bench'];

/** Files under these folders of `root` whose name matches, as sorted paths relative to it. */
export function filesUnder(root, folders, pattern) {
  const found = [];
  const visit = (folder) => {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (pattern.test(entry.name)) found.push(relative(root, path));
    }
  };
  for (const folder of folders) visit(join(root, folder));
  return found.sort();
}

/** A text that changes when one of the files does: path, size and modification time of each. */
export function stampOf(root, files) {
  return files
    .map((file) => {
      const { size, mtimeMs } = statSync(join(root, file));
      return `${file} ${size} ${mtimeMs}`;
    })
    .join('\n');
}

function readStamp(root, name) {
  const file = join(root, 'build', `${name}.stamp`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function writeStamp(root, name, stamp) {
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(join(root, 'build', `${name}.stamp`), stamp);
}

/**
 * Whether node_modules holds what package-lock.json asks for, by the record that npm keeps there at the end of
 * every install. Packages for other platforms may be absent.
 */
export function packagesInstalled(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.keys(wanted).every((path) => {
    if (path === '') return true;
    if (!installed[path]) return wanted[path].optional === true;
    return installed[path].version === wanted[path].version && installed[path].integrity === wanted[path].integrity;
  });
}

/** Installs the npm packages exactly as package-lock.json says. */
export function installPackages(root) {
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  const npm = process.env.npm_execpath;
  try {
    if (npm && basename(npm) === 'npm-cli.js') run(process.execPath, [npm].concat(args), { cwd: root });
    else run('npm', args, { cwd: root });
  } catch (thrown) {
    // After the error npm prints its usage and where it logged: what counts is at the head.
    const errors = (thrown.output || '').split('\n').filter((line) => /^npm error ./.test(line));
    if (errors.length > 0) thrown.output = errors.slice(0, 8).join('\n');
    throw thrown;
  }
}

function nativeStamp(root) {
  const sources = filesUnder(root, ['native', 'bpf', 'test/bpf'], /\.(c|h)$|^Makefile$/).concat('scripts/build-native.mjs');
  const builder =
    process.arch +
    createHash('sha256')
      .update(readFileSync(join(root, 'package-lock.json')))
      .digest('hex');
  return `${builder}\n${stampOf(root, sources)}`;
}

/** Whether the addon and the BPF objects are newer than their sources. */
export function nativeBuilt(root) {
  return addonBuilt(root) && readStamp(root, 'native') === nativeStamp(root);
}

/** Whether there is an addon to load, fresh or not. */
export function addonBuilt(root) {
  const build = join(root, 'build');
  return existsSync(build) && readdirSync(build).some((name) => name.endsWith('.node'));
}

/** Builds the addon and the BPF objects. Throws StepFailure with the compiler's words. */
export function buildNative(root) {
  const stamp = nativeStamp(root);
  run(process.execPath, [join(root, 'scripts', 'build-native.mjs')], { cwd: root });
  writeStamp(root, 'native', stamp);
}

function typescriptStamp(root) {
  const generated = filesUnder(root, ['proto/gen'], /\.js$/);
  const sources = filesUnder(root, sourceFolders, /(?<!\.test)\.ts$/);
  return stampOf(root, sources.concat(generated, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'));
}

// npx looks for a project's own command among those of its packages.
function linkOf(root) {
  return join(root, 'node_modules', '.bin', 'jitterscope');
}

/** Whether dist/ was compiled from the sources as they are. */
export function typescriptBuilt(root) {
  return existsSync(join(root, 'dist')) && existsSync(linkOf(root)) && readStamp(root, 'typescript') === typescriptStamp(root);
}

/**
 * Compiles the TypeScript into dist/, without the tests, and puts the generated protobuf code beside it. Types are not
 * checked: that takes four times as long, and is for `npm run check`. Throws StepFailure on what is no TypeScript.
 */
export function buildTypescript(root) {
  const stamp = typescriptStamp(root);
  const dist = join(root, 'dist');
  const filesOf = (text) => text.split('\n').map((line) => line.split(' ')[0]);
  const now = new Set(filesOf(stamp));
  // tsc keeps what it wrote for a source that is gone, and does not miss what was removed from dist/.
  if (!existsSync(linkOf(root)) || filesOf(readStamp(root, 'typescript')).some((file) => file !== '' && !now.has(file))) {
    fs.rmSync(dist, { recursive: true, force: true });
    fs.rmSync(join(root, 'build', 'tsconfig.build.tsbuildinfo'), { force: true });
  }
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], { cwd: root });
  for (const file of filesUnder(root, ['proto/gen'], /\.js$/)) {
    mkdirSync(join(dist, 'proto', 'gen'), { recursive: true });
    copyFileSync(join(root, file), join(dist, file));
  }
  const command = join(dist, 'cli', 'main.js');
  if (existsSync(command)) chmodSync(command, 0o755);
  mkdirSync(dirname(linkOf(root)), { recursive: true });
  fs.rmSync(linkOf(root), { force: true });
  symlinkSync(join('..', '..', 'dist', 'cli', 'main.js'), linkOf(root));
  writeStamp(root, 'typescript', stamp);
}
