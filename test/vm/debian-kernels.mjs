// Debian kernels for the machines of the matrix: finds a series' newest package and keeps of it what a machine boots from.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run, step } from '../../scripts/step.mjs';

/** The kernels that the probes are proven on: Debian 12's own, and the long-term one that it also offers. */
export const kernelSeries = [
  { name: '6.1', packages: /^linux-image-6\.1\.0-\d+-amd64$/ },
  { name: '6.12', packages: /^linux-image-6\.12\.\d+(\+deb\d+)?-amd64$/ },
];

/**
 * What the guest's root and the tests in it need. Elsewhere the kernel has some loaded when they are asked for (by ss,
 * nft, or the crc32c library of nf_tables); the guest has no folder to load them from.
 */
const wantedModules = ['virtio_pci', '9p', '9pnet_virtio', 'overlay', 'veth', 'tcp_diag', 'crc32c_generic', 'nft_reject_inet'];

/** Names of the series' packages that apt knows, newest first. */
export function packagesOf(series) {
  const { stdout } = spawnSync('apt-cache', ['pkgnames', 'linux-image-6'], { encoding: 'utf8' });
  const names = (stdout ?? '').split('\n').filter((name) => series.packages.test(name));
  return names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
}

/**
 * The series' newest kernel, from the cache where it is there: `{ release, vmlinux, modules: paths in loading order }`.
 * Throws when apt offers none and the cache holds none.
 */
export function prepareKernel(series, cache) {
  const [newest] = packagesOf(series);
  const kept = keptIn(cache, series);
  if (newest === undefined && kept === undefined) throw new Error(`apt offers no package ${series.packages.source}`);
  const name = newest ?? kept;
  const folder = join(cache, name);
  if (!existsSync(folder)) step(`kernel ${name}`, () => unpack(series, cache, name));
  const modules = readFileSync(join(folder, 'modules.order'), 'utf8').trim().split('\n');
  const release = name.replace('linux-image-', '');
  return { release, vmlinux: join(folder, 'vmlinux'), modules: modules.map((module) => join(folder, module)) };
}

function keptIn(cache, series) {
  return existsSync(cache) ? readdirSync(cache).find((name) => series.packages.test(name)) : undefined;
}

/** Downloads and unpacks; what the cache held of the series before is removed. */
function unpack(series, cache, name) {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'unpacking-'));
  try {
    download(name, work);
    const [archive] = readdirSync(work).filter((file) => file.endsWith('.deb'));
    run('dpkg', ['-x', archive, 'package'], { cwd: work });
    const files = readdirSync(join(work, 'package'), { recursive: true }).map((path) => join(work, 'package', path));
    const into = join(work, 'kernel');
    mkdirSync(into);
    writeFileSync(join(into, 'vmlinux'), vmlinuxOf(readFileSync(files.find((file) => basename(file).startsWith('vmlinuz-')))));
    writeFileSync(join(into, 'modules.order'), `${keepModules(files, into).join('\n')}\n`);
    for (const old of readdirSync(cache)) if (series.packages.test(old)) rmSync(join(cache, old), { recursive: true });
    renameSync(into, join(cache, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function download(name, cwd) {
  try {
    run('apt-get', ['download', '-qq', name], { cwd });
  } catch {
    // The lists know a package that its server no longer has.
    run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', 'update', '-qq']);
    run('apt-get', ['download', '-qq', name], { cwd });
  }
}

/** The ELF kernel inside a bzImage: qemu boots it in half the time, without unpacking (Documentation/arch/x86/boot.rst). */
function vmlinuxOf(image) {
  const setupSectors = image[0x1f1] || 4;
  const at = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(at, at + image.readUInt32LE(0x24c));
  return decompress(payload.readUInt32BE(0) === 0x28b52ffd ? 'zstd' : 'xz', payload);
}

/** Both programs complain of what follows the compressed data, the length that the kernel's build appends, when all is written. */
function decompress(program, input) {
  const { stdout, stderr } = spawnSync(program, ['-dcq'], { input, maxBuffer: 1 << 30 });
  if (!stdout?.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) throw new Error(`${program} finds no ELF file: ${stderr}`);
  return stdout;
}

/** Copies the wanted modules and those that they depend on, uncompressed. Returns their names in loading order. */
function keepModules(files, into) {
  const byName = new Map(files.filter((file) => /\.ko(\.xz)?$/.test(file)).map((file) => [moduleName(file), file]));
  const kept = new Set();
  const keep = (name) => {
    const file = byName.get(name);
    // Not a file: built in.
    if (file === undefined || kept.has(`${name}.ko`)) return;
    for (const needed of run('modinfo', ['-F', 'depends', file]).trim().split(',').filter(Boolean)) keep(moduleName(needed));
    const bytes = readFileSync(file);
    writeFileSync(join(into, `${name}.ko`), file.endsWith('.xz') ? decompress('xz', bytes) : bytes);
    kept.add(`${name}.ko`);
  };
  wantedModules.forEach(keep);
  return [...kept];
}

function moduleName(file) {
  return basename(file)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_');
}
