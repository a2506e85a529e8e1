// `npm run new -- probe|source|rule|sink|command NAME`: writes the files of a new one from scripts/templates, adds its
// registry line, and says what is left to do. Nothing that is there is overwritten.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './step.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/** A line of a file behind the last one that matches; the new one is not added twice. */
const behindLast = (pattern, line) => (text) => {
  const lines = text.split('\n');
  const at = lines.findLastIndex((one) => pattern.test(one));
  if (at < 0) throw new Error(`no line like ${pattern} to add "${line}" behind`);
  return [...lines.slice(0, at + 1), line, ...lines.slice(at + 1)].join('\n');
};

/** The next number of a C enumeration; `not` are those of tests. */
function nextNumber(text, prefix) {
  const numbers = [...text.matchAll(new RegExp(`\\b${prefix}\\w+ = (\\d+),`, 'g'))].map(([, number]) => Number(number));
  return Math.max(...numbers.filter((number) => number < 65_535)) + 1;
}

/** What can be made: how it may be called, where its files go, what else changes, what is left. */
const kinds = {
  probe: {
    name: /^[a-z][a-z0-9]{2,23}$/,
    expected: 'lower-case letters and digits, such as sockerror',
    folder: ({ name }) => `bpf/${name}`,
    edits: ({ name, NAME }) => [
      ['bpf/include/record.h', (text) => behindLast(/^\tPROBE_(?!BURST)\w+ = /, `\tPROBE_${NAME} = ${nextNumber(text, 'PROBE_')},`)(text)],
      [
        'bpf/include/counter.h',
        (text) => behindLast(/^\tMETRIC_\w+ = /, `\tMETRIC_${NAME}_ERRORS = ${nextNumber(text, 'METRIC_')},\t  /* bucket: errno */`)(text),
      ],
      ['bpf/registry.ts', behindLast(/^import /, `import { ${name} } from './${name}/probe.ts';`)],
      ['bpf/registry.ts', (text) => text.replace(/(probes: readonly Probe\[\] = \[[^\]]*)\]/, `$1, ${name}]`)],
    ],
    left: ({ name }) => [
      'npm run gen    # numbers, list of fields, docs/reference',
      `RECORD_FIXTURES=1 npm test -- --tier kernel bpf/${name}    # as root: provokes the event, checks every field, records fixtures/*.bin`,
      `edit bpf/${name}/${name}.bpf.c (the hook), event.ts (the sentence), README.md (what it cannot see)`,
    ],
  },
  source: {
    name: /^[a-z][a-z0-9]{2,23}$/,
    expected: 'lower-case letters and digits, such as protocols: the file below /proc/net',
    folder: () => 'services/collector/sources',
    edits: ({ name }) => [
      ['services/collector/sources/registry.ts', behindLast(/^import \{ \w+Source/, `import { ${name}Source } from './${name}.ts';`)],
      ['services/collector/sources/registry.ts', behindLast(/^ {2}\w+Source,$/, `  ${name}Source,`)],
      ['schema/metrics.ts', behindLast(/^import \{ \w+Rows/, `import { ${name}Rows } from './metrics/${name}.ts';`)],
      ['schema/metrics.ts', behindLast(/^ {2}\w+: \{ file: '/, `  ${name}: { file: '/proc/net/${name}', rows: ${name}Rows },`)],
    ],
    moves: ({ name }) => ({ [`${name}-rows.ts`]: `schema/metrics/${name}.ts` }),
    left: ({ name }) => [
      `edit services/collector/sources/${name}.ts (how the file is read) and schema/metrics/${name}.ts (names, units, help)`,
      `cp /proc/net/${name} services/collector/sources/fixtures/${name}-$(uname -r | cut -d- -f1).txt    # and a test that reads it`,
      `npx vitest run --project unit services/collector/sources/${name}`,
      'npm run gen    # docs/reference/metrics.md',
    ],
  },
  sink: {
    name: /^[a-z][a-z0-9]{2,23}$/,
    expected: 'lower-case letters and digits, such as webhook',
    folder: ({ name }) => `services/sinks/${name}`,
    edits: ({ name }) => [
      ['services/sinks/registry.ts', behindLast(/^import \{ \w+Sink \} from/, `import { ${name}Sink } from './${name}/index.ts';`)],
      ['services/sinks/registry.ts', behindLast(/^ {2}\w+: \w+Sink,$/, `  ${name}: ${name}Sink,`)],
    ],
    left: ({ name }) => [
      `edit services/sinks/${name}/index.ts: deliver() answers what became of each event, it neither retries nor counts`,
      `npx vitest run --project unit services/sinks/${name}    # the contract of all sinks`,
      'npm run gen    # docs/reference',
    ],
  },
  rule: {
    name: /^[a-z][a-z0-9]*(-[a-z0-9]+)+$/,
    expected: 'kebab-case of two words or more, such as connect-slow',
    folder: () => 'rules',
    edits: () => [],
    moves: ({ name }) => ({ 'runbook.md': `docs/runbooks/${name}.md` }),
    left: ({ name }) => [
      `npx jitterscope rules check rules/${name}.yaml`,
      `npx jitterscope rules test rules/${name}.yaml`,
      `edit both files: what the rule sees, docs/runbooks/${name}.md what its reader does`,
      'npm run gen    # docs/reference/rules.md',
    ],
  },
  command: {
    name: /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
    expected: 'kebab-case, such as top',
    folder: () => 'cli',
    edits: ({ name, Name }) => [
      ['cli/main.ts', behindLast(/^import .* from '\.\//, `import { ${Name} } from './${name}.ts';`)],
      [
        'cli/main.ts',
        (text) => {
          const command = [
            'program',
            `  .command('${name}')`,
            `  .description('say what the running one is')`,
            `  .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)`,
            '  .action(async (o: { dataDir: string }) => {',
            `    process.exitCode = await ${Name}(resolve(o.dataDir));`,
            '  });',
            '',
            '',
          ].join('\n');
          const mark = "program\n  .command('version')";
          if (!text.includes(mark)) throw new Error('cli/main.ts has no command `version` to add it before');
          return text.replace(mark, command + mark);
        },
      ],
    ],
    left: ({ name }) => [
      `edit cli/${name}.ts: it resolves with the exit code; only cli/ and main.ts may end the process`,
      `npm run build && npx jitterscope ${name} --help`,
      'a mistake of the user throws a row of an errors.ts, with a remedy: test/cli-mistakes.promise.test.ts tries them',
    ],
  },
};

/** Command line. Resolves with the exit code: 2 for a mistake of the caller. @param root the project */
export async function main([kind, name], root = join(here, '..')) {
  const made = Object.hasOwn(kinds, kind ?? '') ? kinds[kind] : undefined;
  if (made === undefined) return mistake(`found ${kind ?? 'nothing'}, expected one of ${Object.keys(kinds).join(', ')}`);
  if (name === undefined || !made.name.test(name)) return mistake(`found ${name ?? 'no name'}, expected ${made.expected}`);
  const words = wordsOf(kind, name);
  const files = filesOf(kind, made, words);
  const there = files.find(({ path }) => existsSync(join(root, path)));
  if (there !== undefined) return mistake(`${there.path} is there already; choose another name, or delete it first`);
  // All edits are thought through before the first byte is written.
  const edited = new Map();
  for (const [path, edit] of made.edits(words)) {
    edited.set(path, edit(edited.get(path) ?? readFileSync(join(root, path), 'utf8')));
  }
  for (const { path, text } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    say(`wrote   ${path}`);
  }
  for (const [path, text] of edited) {
    writeFileSync(join(root, path), text);
    say(`changed ${path}`);
  }
  format(root, [...files.map(({ path }) => path), ...edited.keys()]);
  say(['', 'What is left:', ...made.left(words).map((step) => `  ${step}`)].join('\n'));
  return 0;
}

/** What stands for the name in the templates: as it is, as a C constant, and as a part of an identifier. */
function wordsOf(kind, name) {
  const camel = name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
  const Name = kind === 'command' ? camel : camel[0].toUpperCase() + camel.slice(1);
  return { name, NAME: name.toUpperCase().replaceAll('-', '_'), Name };
}

/** The templates of a kind with the name put in: paths from the root. */
function filesOf(kind, { folder, moves }, words) {
  const templates = join(here, 'templates', kind);
  const moved = moves?.(words) ?? {};
  return readdirSync(templates, { recursive: true })
    .filter((file) => statSync(join(templates, file)).isFile())
    .map((file) => {
      const target = filled(file.replace(/\.txt$/, ''), words);
      return { path: moved[target] ?? `${folder(words)}/${target}`, text: filled(readFileSync(join(templates, file), 'utf8'), words) };
    });
}

/** Names of another length break lines elsewhere. */
function format(root, paths) {
  const biome = join(root, 'node_modules/.bin/biome');
  if (existsSync(biome)) spawnSync(biome, ['check', '--write', '--log-level=error', ...paths], { cwd: root, stdio: 'inherit' });
}

function filled(text, { name, NAME, Name }) {
  return text.replaceAll('__name__', name).replaceAll('__NAME__', NAME).replaceAll('__Name__', Name);
}

function mistake(what) {
  say(`npm run new -- KIND NAME: ${what}`);
  return 2;
}
