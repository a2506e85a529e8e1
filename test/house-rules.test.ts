import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Linter } from 'eslint';
import { expect, test } from 'vitest';
import { importBoundaries, violation } from '../scripts/lint/import-boundaries.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const notOurs = new Set(['node_modules', 'dist', 'build', 'data', '.cache', '.git', 'gen']);

const files = filesIn('');
const sources = files.filter((file) => /\.(ts|c|h|mjs|cjs)$/.test(file) && !/\.gen\.ts$|\.d\.m?ts$/.test(file));
const productSources = sources.filter((file) => !/\.test\.ts$/.test(file) && !file.startsWith('test/'));

/** Every file of the project but generated and built ones, as paths from the root. */
function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return notOurs.has(entry.name) ? [] : filesIn(path);
    return entry.isFile() && !notOurs.has(entry.name) ? [path] : [];
  });
}

function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** Files in which the pattern is found, as "path: match". */
function hits(among: readonly string[], pattern: RegExp): string[] {
  return among.flatMap((file) => {
    const match = pattern.exec(textOf(file));
    return match ? [`${file}: ${match[0]}`] : [];
  });
}

/** Spelled in two halves, so that this file is no hit itself. */
function halves(...pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([left, right]) => left + right).join('|');
}

test('no hand-written source is longer than 400 lines, and half of them have at most 120', () => {
  const lengths = productSources.map((file) => ({ file, lines: textOf(file).split('\n').length - 1 }));
  expect(lengths.filter(({ lines }) => lines > 400)).toEqual([]);
  const sorted = lengths.map(({ lines }) => lines).sort((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(120);
});

test('files are named in kebab-case, after what they are', () => {
  const names = [...sources, ...files.filter((file) => /\.(sh|ya?ml|proto)$/.test(file))];
  expect(names.filter((file) => !/^[a-z0-9.]+([-._][a-z0-9]+)*$/.test(basename(file)))).toEqual([]);
  expect(names.filter((file) => /(^|[-/.])(utils?|helpers?|common|managers?|misc)([-/.]|$)/.test(file))).toEqual([]);
});

test('every C file says its licence in its first lines; BPF programs may also be used under the GPL', () => {
  const c = sources.filter((file) => /\.[ch]$/.test(file));
  expect(c.length).toBeGreaterThan(0);
  for (const file of c) {
    const licence = file.startsWith('bpf/') ? 'GPL-2.0 OR BSD-2-Clause' : 'Apache-2.0';
    expect(`${file}: ${textOf(file).split('\n').slice(0, 3).join(' ')}`).toContain(`SPDX-License-Identifier: ${licence}`);
  }
});

test('nothing is exported as default, and nothing is exempt from the checks without a reason', () => {
  const code = sources.filter((file) => file !== 'vitest.config.ts');
  expect(hits(code, /^export default\b/m)).toEqual([]);
  expect(hits(code, new RegExp(halves(['@ts-', 'nocheck'], ['@ts-', 'ignore'], ['eslint-', 'disable(?!-next-line .* -- )'])))).toEqual([]);
  expect(hits(code, /\b(test|it|describe)\.(only|todo)\(/)).toEqual([]);
});

test('nothing names a path of one machine or the host of a package registry', () => {
  const texts = files.filter((file) => !/\.(bin|gz|png|jpg|pcap|o|node)$/.test(file));
  const paths = halves(['/wo', 'rk/'], ['/fa', 'rm/'], ['/ro', 'ot/'], ['/ho', 'me/[a-z]']);
  const hosts = halves(
    ['registry\\.npm', 'js'],
    ['registry\\.yarn', 'pkg'],
    ['deb\\.deb', 'ian'],
    ['archive\\.ubu', 'ntu'],
    ['proxy\\.gol', 'ang'],
    ['pypi\\.org/(simple|pack', 'ages)'],
    ['static\\.cra', 'tes'],
  );
  expect(hits(texts, new RegExp(`(?<![\\w.$)}-])(${paths})`))).toEqual([]);
  expect(hits(texts, new RegExp(hosts))).toEqual([]);
});

test('the lock file pins every package, from no registry in particular', () => {
  const { packages } = JSON.parse(textOf('package-lock.json')) as {
    packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }>;
  };
  const entries = Object.entries(packages);
  expect(entries.filter(([, entry]) => entry.resolved !== undefined)).toEqual([]);
  const lacking = entries.flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) => !packages[`${path}/node_modules/${name}`] && !packages[`node_modules/${name}`],
    ),
  );
  expect(lacking, 'npm ci refuses a lock file without them: run `npm run gen`').toEqual([]);
});

test('dependencies have exact versions', () => {
  const manifest = JSON.parse(textOf('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>;
  const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('every error code is one row in one errors.ts, named after its domain', () => {
  const rows = files
    .filter((file) => /(^|[/-])errors\.ts$/.test(file))
    .flatMap((file) => [...textOf(file).matchAll(/^ {2}(\w+): \{/gm)].map((match) => ({ file, code: match[1] ?? '' })));
  expect(rows.filter(({ code }) => !/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(code))).toEqual([]);
  const seen = new Map<string, string>();
  const twice = rows.filter(({ file, code }) => {
    const first = seen.get(code);
    seen.set(code, file);
    return first !== undefined;
  });
  expect(twice).toEqual([]);
});

test('links between the documents lead somewhere', () => {
  const broken = files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const text = textOf(file).replace(/```[\s\S]*?```/g, '');
      const targets = [...text.matchAll(/\]\(([^)\s#]+)(#[^)]*)?\)/g)].map((match) => match[1] ?? '');
      return targets
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(file), target)))
        .map((target) => `${file} → ${target}`);
    });
  expect(broken).toEqual([]);
});

test.each([
  ['core/bus/bus.ts', 'native/index.ts', true],
  ['core/bus/bus.ts', 'services/gateway/main.ts', false],
  ['services/collector/main.ts', 'bpf/registry.ts', true],
  ['services/collector/main.ts', 'services/gateway/main.ts', false],
  ['services/gateway/main.ts', 'bpf/registry.ts', false],
  ['services/sinks/pipeline.ts', 'cli/run.ts', false],
  ['services/sinks/pipeline.ts', 'services/sinks/file/sink.ts', true],
  ['schema/event.ts', 'services/aggregator/pipeline.ts', false],
  ['native/index.ts', 'core/log.ts', false],
  ['native/index.ts', 'core/app-error.ts', true],
  ['cli/run.ts', 'services/gateway/main.ts', true],
  ['core/corex.ts', 'corex/a.ts', false],
  ['core/log.test.ts', 'cli/run.ts', false],
  ['cli/run.test.ts', 'cli/run.ts', true],
  ['test/delivery.promise.test.ts', 'cli/run.ts', true],
])('%s importing %s: allowed %s', (from, to, allowed) => {
  expect(violation(from, to, false) === undefined).toBe(allowed);
});

test('a probe may know the types of the addon, not the addon', () => {
  expect(violation('bpf/tcpreset/probe.ts', 'native/addon.ts', true)).toBeUndefined();
  expect(violation('bpf/tcpreset/probe.ts', 'native/index.ts', false)).toContain('may not import');
});

test('lint reports an import across a boundary, in each form an import has', () => {
  const linter = new Linter({ cwd: root });
  const config: Linter.Config = {
    files: ['**/*.ts'],
    plugins: { jitterscope: { rules: { boundaries: importBoundaries(root) } } },
    rules: { 'jitterscope/boundaries': 'error' },
  };
  const lint = (code: string) => linter.verify(code, config, join(root, 'services/gateway/main.ts'));
  for (const code of [
    "import { tap } from '../../cli/tap.ts';",
    "export { tap } from '../../cli/tap.ts';",
    "export * from '../../cli/tap.ts';",
    "await import('../../cli/tap.ts');",
  ])
    expect(lint(code).map(({ message }) => message)).toEqual([
      expect.stringContaining('services/gateway/main.ts may not import cli/tap.ts'),
    ]);
  expect(lint("import { log } from '../../core/log.ts'; import { z } from 'zod';")).toEqual([]);
});
