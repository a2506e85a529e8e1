// Completes package-lock.json. npm leaves an optional package out when its registry (a partial mirror) does not have it,
// such as a tool's binary for another platform; `npm ci` then calls the file out of date, on every machine.
import { readFileSync } from 'node:fs';

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];
const libraries = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' };

/** A lock entry for an optional platform package, from its name: `@x/binding-linux-arm-musleabihf`. */
function platformEntry(name, version) {
  const words = name.split(/[-/]/);
  const os = systems.find((system) => words.includes(system));
  const cpu = processors.find((processor) => words.includes(processor));
  if (!os || !cpu) throw new Error(`package-lock.json lacks ${name}, and its name says no platform: add it with npm install`);
  const library = words.find((word) => word in libraries);
  return {
    version,
    cpu: [cpu],
    dev: true,
    ...(library && os === 'linux' ? { libc: [libraries[library]] } : {}),
    optional: true,
    os: [os],
  };
}

/** The text of package-lock.json with every optional package in it. */
export function completeLock(file) {
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  const packages = { ...lock.packages };
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (packages[`${path}/node_modules/${name}`] || packages[`node_modules/${name}`]) continue;
      packages[`node_modules/${name}`] = platformEntry(name, version);
    }
  }
  const names = Object.keys(packages).sort((a, b) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(names.map((name) => [name, packages[name]]));
  return `${JSON.stringify(lock, null, 2)}\n`;
}
