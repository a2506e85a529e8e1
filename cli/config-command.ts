import { AppError } from '../core/app-error.ts';
import { jsonSchemaOf } from '../core/config/expected.ts';
import { checkConfig, loadConfig } from '../core/config/load.ts';
import { askControl } from '../core/control.ts';
import { printable } from '../core/printable.ts';
import { type ConfigOptions, configSchema, configSources } from './config.ts';
import { type ConfigView, viewOfLoaded, viewText } from './config-view.ts';
import { shortSocketPath } from './socket-path.ts';
import { join } from 'node:path';

const exitConfig = 78;

export interface ConfigCheck extends ConfigOptions {
  readonly json: boolean;
}

/** `jitterscope config check`: everything that is wrong with a file, and with what is set besides. Returns the exit code. */
export function checkCommand({ json, ...options }: ConfigCheck): number {
  const problems = checkConfig(configSchema, configSources(options));
  const valid = problems.length === 0;
  const name = options.config ?? 'the configuration';
  if (json) process.stdout.write(`${JSON.stringify({ valid, problems }, undefined, 2)}\n`);
  else if (valid) process.stdout.write(`${name}: valid\n`);
  else process.stderr.write(`${problems.map(({ text }) => printable(text)).join('\n')}\n`);
  return valid ? 0 : exitConfig;
}

export interface ConfigShow extends ConfigOptions {
  readonly dataDir: string;
  readonly json: boolean;
}

/** `jitterscope config show`: what the running process has; without one, or with sources named, what a start would have. */
export async function showCommand({ dataDir, json, ...options }: ConfigShow): Promise<number> {
  const named = options.config !== undefined || (options.set ?? []).length > 0;
  const running = named ? undefined : await runningView(dataDir);
  const view = running ?? viewOfLoaded(loadConfig(configSchema, configSources(options)));
  process.stdout.write(json ? `${JSON.stringify(view, undefined, 2)}\n` : viewText(view));
  return 0;
}

/** `jitterscope config schema`: the JSON Schema, for editors. */
export function schemaCommand(): void {
  process.stdout.write(`${JSON.stringify(jsonSchemaOf(configSchema), undefined, 2)}\n`);
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
