import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../core/app-error.ts';
import { jsonSchemaOf } from '../core/config/expected.ts';
import { checkConfig, loadConfig } from '../core/config/load.ts';
import { askControl } from '../core/control.ts';
import { printable } from '../core/printable.ts';
import { type ConfigOptions, configSchema, configSources } from './config.ts';
import { type ConfigView, viewOfLoaded, viewText } from './config-view.ts';
import { shortSocketPath } from './socket-path.ts';

const exitConfig = 78;

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/** Adds `jitterscope config check | show | schema`. */
export function addConfigCommand(program: Command, defaultDataDir: string): void {
  const config = program.command('config').description('the configuration: what is wrong with it, what holds and why, what there is');
  config
    .command('check')
    .description('name everything that is wrong with a configuration, with its place')
    .argument('[file]', 'YAML configuration; none: the environment and --set alone')
    .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
    .option('--json', 'print JSON')
    .action((file: string | undefined, o: { set: string[]; json?: boolean }) => {
      process.exitCode = check({ ...(file === undefined ? {} : { config: file }), set: o.set, json: o.json === true });
    });
  config
    .command('show')
    .description('every setting with its value and where that comes from: of a running jitterscope, else of one that would start')
    .option('-c, --config <file>', 'what one with this YAML configuration would have')
    .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
    .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
    .option('--json', 'print JSON')
    .action(async (o: { config?: string; dataDir: string; set: string[]; json?: boolean }) => {
      process.exitCode = await show({ ...o, dataDir: resolve(o.dataDir), json: o.json === true });
    });
  config
    .command('schema')
    .description('print the JSON Schema of the configuration, for editors')
    .action(() => {
      process.stdout.write(`${JSON.stringify(jsonSchemaOf(configSchema), undefined, 2)}\n`);
    });
}

interface ConfigCheck extends ConfigOptions {
  readonly json: boolean;
}

/** Everything that is wrong with a file, and with what is set besides. Returns the exit code. */
function check({ json, ...options }: ConfigCheck): number {
  const problems = checkConfig(configSchema, configSources(options));
  const valid = problems.length === 0;
  const name = options.config ?? 'the configuration';
  if (json) process.stdout.write(`${JSON.stringify({ valid, problems }, undefined, 2)}\n`);
  else if (valid) process.stdout.write(`${name}: valid\n`);
  else process.stderr.write(`${problems.map(({ text }) => printable(text)).join('\n')}\n`);
  return valid ? 0 : exitConfig;
}

interface ConfigShow extends ConfigOptions {
  readonly dataDir: string;
  readonly json: boolean;
}

/** What the running process has; without one, or with sources named, what a start would have. Resolves with the exit code. */
async function show({ dataDir, json, ...options }: ConfigShow): Promise<number> {
  const named = options.config !== undefined || (options.set ?? []).length > 0;
  const running = named ? undefined : await runningView(dataDir);
  const view = running ?? viewOfLoaded(loadConfig(configSchema, configSources(options)));
  process.stdout.write(json ? `${JSON.stringify(view, undefined, 2)}\n` : viewText(view));
  return 0;
}

/** Undefined when nobody answers there. */
async function runningView(dataDir: string): Promise<ConfigView | undefined> {
  try {
    for await (const view of askControl(shortSocketPath(join(dataDir, 'control.sock')), 'config')) return view as ConfigView;
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'CONTROL_UNREACHABLE') throw thrown;
  }
  return undefined;
}
