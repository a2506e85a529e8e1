// Everything a fresh machine lacks: system packages, npm packages, the addon and the BPF objects, TypeScript.
// Does only what is not done yet. `node scripts/setup.mjs [--only build] [--tier test]`
// An old Node must be able to load this file and what it imports, to be told its version; so no names newer than Node 12.
import fs, { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import version from './node-version.cjs';
import {
  addonBuilt,
  buildNative,
  buildTypescript,
  installPackages,
  nativeBuilt,
  packagesInstalled,
  typescriptBuilt,
} from './setup-build.mjs';
import { canInstall, installNeeds, missingNeeds, tellMissing } from './setup-system.mjs';
import { StepFailure, say, step, tail } from './step.mjs';

const projectRoot = fileURLToPath(new URL('..', import.meta.url));

/** How long the holder of the lock may be without a pid before it counts as dead, ms. */
const unnamedLockMs = 5000;

function holderOf(lock) {
  try {
    return Number(readFileSync(join(lock, 'pid'), 'utf8'));
  } catch (_) {
    return 0;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return thrown.code === 'EPERM';
  }
}

function isAbandoned(lock) {
  const pid = holderOf(lock);
  if (pid > 0) return !isAlive(pid);
  try {
    return Date.now() - statSync(lock).mtimeMs > unnamedLockMs;
  } catch (_) {
    return false;
  }
}

/** Removes a dead process's lock. One at a time, looking again, or a lock just taken anew could be the one removed. */
function removeAbandoned(lock) {
  const turn = `${lock}.turn`;
  try {
    mkdirSync(turn);
  } catch (_) {
    if (isAbandoned(turn)) fs.rmSync(turn, { recursive: true, force: true });
    return false;
  }
  if (isAbandoned(lock)) fs.rmSync(lock, { recursive: true, force: true });
  fs.rmSync(turn, { recursive: true, force: true });
  return true;
}

/** Runs `work` while no other set-up of this checkout runs; waits for the other one, and says so. */
export async function withLock(root, work) {
  mkdirSync(join(root, 'build'), { recursive: true });
  const lock = join(root, 'build', 'setup.lock');
  let told = false;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (thrown) {
      if (thrown.code !== 'EEXIST') throw thrown;
    }
    if (isAbandoned(lock) && removeAbandoned(lock)) continue;
    if (!told) say(`another set-up runs here (process ${holderOf(lock)}): waiting for it`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    writeFileSync(join(lock, 'pid'), String(process.pid));
    return work();
  } finally {
    fs.rmSync(lock, { recursive: true, force: true });
  }
}

function isReady(root, only) {
  if (only === 'packages') return packagesInstalled(root);
  return packagesInstalled(root) && nativeBuilt(root) && typescriptBuilt(root);
}

/** Tells why a step failed, in the failed command's own words where it had any, and what that means. Returns false. */
function tellFailure(whatItMeans, thrown) {
  if (!(thrown instanceof StepFailure)) throw thrown;
  const words = thrown.output.trim() === '' ? thrown.message : thrown.output;
  process.stderr.write(`${tail(words, 20)}\n`);
  say(whatItMeans);
  return false;
}

function attempt(title, whatItMeans, work) {
  try {
    step(title, work);
    return true;
  } catch (thrown) {
    return tellFailure(whatItMeans, thrown);
  }
}

function buildAll(root, only) {
  const packages =
    packagesInstalled(root) || attempt('npm packages', 'the npm packages could not be installed', () => installPackages(root));
  if (!packages || only === 'packages') return { packages, native: addonBuilt(root), typescript: typescriptBuilt(root) };
  const native =
    nativeBuilt(root) || attempt('native addon and BPF objects', 'without them nothing is read from the kernel', () => buildNative(root));
  const typescript = typescriptBuilt(root) || attempt('TypeScript', 'the TypeScript does not compile', () => buildTypescript(root));
  return { packages, native, typescript };
}

/**
 * Sets everything up. `options.only` leaves the system packages alone ('build'), and what is
 * built, too ('packages'); `options.tier: 'test'` adds what the
 * tests need. Resolves with what is there afterwards: `{ missing: needs, packages, native, typescript: booleans }`.
 */
export async function setUp(options = {}) {
  const root = options.root || projectRoot;
  const needed = () => (options.only ? [] : missingNeeds(options.tier));
  let missing = needed();
  const installing = missing.length > 0 && canInstall();
  if (missing.length > 0 && !installing) tellMissing(missing);
  // The common case, nothing to do, needs no lock.
  if (!installing && isReady(root, options.only)) return { missing, packages: true, native: true, typescript: true };
  try {
    return await withLock(root, () => {
      missing = needed();
      if (installing && missing.length > 0) missing = installNeeds(missing, needed);
      return { missing, ...buildAll(root, options.only) };
    });
  } catch (thrown) {
    if (thrown.code !== 'EACCES' && thrown.code !== 'EROFS') throw thrown;
    say(`this user may not write to ${thrown.path}: nothing can be built here. Give the checkout to this user, or use the owner's`);
    return { missing, packages: packagesInstalled(root), native: addonBuilt(root), typescript: typescriptBuilt(root) };
  }
}

/** Command line. Resolves with the exit code: 0, 1 (something does not build) or 69 (a system part is missing). */
export async function main(args) {
  const value = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const found = await setUp({ only: value('--only'), tier: value('--tier') });
  if (!found.packages || !found.typescript) return 1;
  if (!found.native) return 69;
  say('everything is up to date');
  return 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  version.requireNode();
  main(process.argv.slice(2)).then((exitCode) => {
    process.exitCode = exitCode;
  });
}
