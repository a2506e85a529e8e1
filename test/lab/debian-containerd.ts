import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The Debian whose containerd is 2.x and runs with the C library of Debian 12. */
const codename = 'forky';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const programs = ['containerd', 'containerd-shim-runc-v2', 'ctr'];
const cache = fileURLToPath(new URL('../../.cache/containerd', import.meta.url));

/** A containerd beside the installed one, or why there is none. */
export type FoundContainerd = { readonly folder: string; readonly version: string } | { readonly obstacle: string };

/**
 * A containerd of 2.x: the programs in the folder that JITTERSCOPE_CONTAINERD names, else those of a later Debian's
 * package, which is fetched once into .cache and installed nowhere.
 */
export function findContainerd2(): FoundContainerd {
  const named = process.env.JITTERSCOPE_CONTAINERD;
  if (named !== undefined) return lookAt(named);
  for (const name of existsSync(cache) ? readdirSync(cache) : []) {
    const kept = lookAt(join(cache, name));
    if ('folder' in kept) return kept;
  }
  const mirror = debianMirror();
  if (mirror === undefined) return { obstacle: 'apt has no Debian sources to fetch it from' };
  try {
    return fetchFrom(mirror);
  } catch (thrown) {
    const { stderr } = thrown as { stderr?: string };
    return { obstacle: `Debian ${codename} does not give it: ${stderr?.trim().split('\n')[0] || String(thrown)}` };
  }
}

/** Where this machine takes its Debian packages from. */
function debianMirror(): string | undefined {
  try {
    const format = '$(CREATED_BY) $(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)';
    const lines = execFileSync('apt-get', ['indextargets', '--format', format], { encoding: 'utf8', stdio: 'pipe' }).split('\n');
    return lines.flatMap((line) => /^Packages Debian Debian main (\S+)$/.exec(line)?.[1] ?? [])[0];
  } catch {
    return undefined;
  }
}

/** Downloads and unpacks with lists of its own: what apt knows of this machine stays as it is. */
function fetchFrom(mirror: string): FoundContainerd {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetching-'));
  try {
    for (const folder of ['state/lists/partial', 'cache/archives/partial', 'bin']) mkdirSync(join(work, folder), { recursive: true });
    writeFileSync(join(work, 'sources.list'), `deb [signed-by=${keyring}] ${mirror} ${codename} main\n`);
    const settings = [
      `Dir::Etc::sourcelist=${work}/sources.list`,
      'Dir::Etc::sourceparts=/dev/null',
      `Dir::State=${work}/state`,
      `Dir::Cache=${work}/cache`,
      'Acquire::Languages=none',
      'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
      'Acquire::http::Timeout=20',
      'Acquire::Retries=1',
      'APT::Update::Error-Mode=any',
      'APT::Sandbox::User=root',
    ].flatMap((setting) => ['-o', setting]);
    const run = (command: string, args: readonly string[]): string =>
      execFileSync(command, args, { cwd: work, encoding: 'utf8', stdio: 'pipe' });
    run('apt-get', [...settings, 'update', '-qq']);
    run('apt-get', [...settings, 'download', '-qq', 'containerd']);
    const [, version = ''] = /^containerd_(.+)_/.exec(readdirSync(work).find((name) => name.endsWith('.deb')) ?? '') ?? [];
    run('dpkg', ['-x', `containerd_${version}_${run('dpkg', ['--print-architecture']).trim()}.deb`, 'package']);
    for (const program of programs) copyFileSync(join(work, 'package/usr/bin', program), join(work, 'bin', program));
    renameSync(join(work, 'bin'), join(cache, version));
    return lookAt(join(cache, version));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function lookAt(folder: string): FoundContainerd {
  try {
    for (const program of programs) execFileSync(join(folder, program), [program === 'ctr' ? '--version' : '-v'], { stdio: 'pipe' });
    const words = execFileSync(join(folder, 'containerd'), ['--version'], { encoding: 'utf8', stdio: 'pipe' });
    return { folder, version: /\bv?(\d+\.\d+\.\S+)/.exec(words)?.[1] ?? words.trim() };
  } catch (thrown) {
    return { obstacle: `${folder}: its programs do not run here: ${String(thrown).split('\n')[0]}` };
  }
}
