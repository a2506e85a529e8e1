#!/usr/bin/env -S node --max-semi-space-size=8
// The flag keeps half of what V8 would take for young objects (48 MB): records and samples are typed arrays, few are young.
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { AppError, messageOf } from '../core/app-error.ts';
import { printable } from '../core/printable.ts';
import { parseSize } from '../core/quantity.ts';
import { isOutOfSpace } from '../core/system-error.ts';
import { addConfigCommand } from './config-command.ts';
import { addDlqCommand } from './dlq-command.ts';
import { interrupted } from './interruption.ts';
import { durationMs, pastTime } from './option-values.ts';
import { flushed, outputError } from './output.ts';
import { type PodFilter, parsePod } from './pod-filter.ts';
import { addProbesCommand } from './probes-command.ts';
import type { ReplayCommand } from './replay.ts';
import { type Role, roles } from './roles.ts';
import { packageVersion } from './version.ts';

const exitUsage = 2;
const defaultDataDir = './data';

// Commands are loaded by who runs them: all of them together take half a second.
const program = new Command('jitterscope')
  .description('Explains why container networks jitter: kernel events of every Pod in, explained anomalies out.')
  .version(packageVersion(), '-V, --version')
  .showHelpAfterError('(jitterscope --help lists the commands)')
  .showSuggestionAfterError()
  .exitOverride();

/** Whether the command works on when nothing that it prints is taken any more. */
let outlivesOutput = false;

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/** A batch and what surrounds it have to fit into a message of gateway.messageSize, which is at least 2 MiB. */
const maxReplayBatchBytes = 1024 * 1024;

function batchBytes(text: string): number {
  const size = parseSize(text);
  if (size === undefined || size === 0 || size > maxReplayBatchBytes)
    throw new InvalidArgumentError('expected a size such as 64KiB, at most 1MiB');
  return size;
}

function podFilter(text: string): PodFilter {
  const filter = parsePod(text);
  if (filter === undefined) throw new InvalidArgumentError('expected a Pod such as shop/web-0, or its name alone');
  return filter;
}

function role(text: string): Role {
  const found = roles.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`expected one of ${roles.join(', ')}`);
  return found;
}

program
  .command('run')
  .description("watch this machine's kernel; events go to the terminal and to files")
  .option('-c, --config <file>', 'YAML configuration')
  .option('--role <role>', 'part of the pipeline to run: all, or over Kafka collector, gateway, aggregator, sinks', role, 'all')
  .option('-d, --data-dir <dir>', 'where everything is kept', defaultDataDir)
  .option('--duration <time>', 'stop after this long and print a summary', durationMs)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--record <file>', 'copy the raw log into a capture (.gz: compressed)')
  .option('--json', 'print events as JSON lines and nothing else')
  .addHelpText('after', '\nA value comes from, strongest first: --set, the environment (JITTERSCOPE_SECTION__KEY), the file, the default.')
  .action(
    async (o: { config?: string; role: Role; dataDir: string; duration?: number; set: string[]; record?: string; json?: boolean }) => {
      const { duration, ...rest } = o;
      outlivesOutput = true;
      const { run } = await import('./run.ts');
      process.exitCode = await run({ ...rest, dataDir: resolve(o.dataDir), ...(duration === undefined ? {} : { durationMs: duration }) });
    },
  );

program
  .command('tap')
  .description('show events of a running jitterscope as they happen')
  .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
  .option('--type <type>', 'only this jitterscope.type: a probe, or a rule of findings')
  .option('--namespace <name>', 'only this Kubernetes namespace, or network namespace by name')
  .option('--pod <namespace/name>', 'only this Pod; its name alone: in any namespace', podFilter)
  .option('--findings', 'only findings')
  .option('--json', 'print events as JSON lines')
  .action(async (o: { dataDir: string; type?: string; namespace?: string; pod?: PodFilter; findings?: boolean; json?: boolean }) => {
    const { dataDir, json, pod, findings, ...rest } = o;
    const filter = findings === true ? { ...rest, kind: 'alert' as const } : rest;
    if (filter.namespace !== undefined && pod?.namespace !== undefined && pod.namespace !== filter.namespace)
      program.error(`error: --pod ${pod.namespace}/${pod.pod} is not in --namespace ${filter.namespace}: leave one of them out`);
    const { tap } = await import('./tap.ts');
    process.exitCode = await tap({ dataDir: resolve(dataDir), json: json === true, filter: { ...filter, ...pod } });
  });

program
  .command('replay')
  .description('send a capture through all hops again; what is in the data folder already is not doubled')
  .argument('<file>', 'capture made with run --record')
  .option('-c, --config <file>', 'YAML configuration')
  .option('-d, --data-dir <dir>', 'where everything is kept', defaultDataDir)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--batch-size <size>', 'cut and join batches to this size; the events are the same', batchBytes)
  .option('--gateway <host:port>', 'send it to a gateway with gateway.replays: true; TLS as in collector.gateway')
  .option('--json', 'print events as JSON lines')
  .option('--quiet', 'print the summary only')
  .action(async (file: string, o: Omit<ReplayCommand, 'file'> & { dataDir: string; set: string[] }) => {
    const { replay, replayTo } = await import('./replay.ts');
    const command = { ...o, file: resolve(file), dataDir: resolve(o.dataDir) };
    process.exitCode = await (o.gateway === undefined ? replay(command) : replayTo(o.gateway, command));
  });

program
  .command('demo')
  .description('break the network between two namespaces of its own, for a running jitterscope to see')
  .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
  .action(async (o: { dataDir: string }) => {
    const { demo } = await import('./demo.ts');
    process.exitCode = await demo(resolve(o.dataDir));
  });

program
  .command('doctor')
  .description('what this kernel, these privileges and this folder allow, and what to do about the rest')
  .option('-c, --config <file>', 'YAML configuration')
  .option('-d, --data-dir <dir>', 'the data folder', defaultDataDir)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--json', 'print JSON')
  .action(async (o: { config?: string; dataDir: string; set: string[]; json?: boolean }) => {
    const [{ doctor }, { readConfig }] = await Promise.all([import('./doctor.ts'), import('./config.ts')]);
    process.exitCode = await doctor(resolve(o.dataDir), o.json === true, readConfig(o));
  });

/** Options of commands about rule files. */
interface RulesOptions {
  readonly config?: string;
  readonly set: string[];
  readonly json?: boolean;
}

const configOfRules = 'YAML configuration: its rules.directory, rules.params and rules.disabled count';
const rules = program.command('rules').description('the rules that findings come from');

rules
  .command('list')
  .description('the rules that run, or those of the files')
  .argument('[files...]', 'rule files or folders of them; none: those that run')
  .option('-c, --config <file>', configOfRules)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--json', 'print a JSON line for each')
  .action(async (files: string[], o: RulesOptions) => {
    const { listRules } = await import('./rules.ts');
    process.exitCode = await listRules({ ...o, files, json: o.json === true });
  });

rules
  .command('check')
  .description('name every mistake in rule files, with its place and what to write instead')
  .argument('[files...]', 'rule files or folders of them; none: those that run')
  .option('-c, --config <file>', configOfRules)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--json', 'print JSON')
  .action(async (files: string[], o: RulesOptions) => {
    const { checkRules } = await import('./rules.ts');
    process.exitCode = await checkRules({ ...o, files, json: o.json === true });
  });

rules
  .command('explain')
  .description('why a rule fired or did not: each signal, each condition, the state; now or at a time that is over')
  .argument('<rule>', 'id of the rule')
  .requiredOption('--entity <name>', 'whom: a Pod (shop/web-0), a network namespace, a node, `partition 0`')
  .option('--at <time>', 'when: 2026-11-22T04:32:20Z, or 5m for five minutes ago; the raw log is replayed up to then', pastTime)
  .option('--capture <file>', 'look at a capture in place of a running jitterscope')
  .option('-c, --config <file>', 'YAML configuration, for a capture')
  .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
  .option('--set <path=value>', 'set one field of the configuration, for a capture; may be repeated', collect, [])
  .option('--json', 'print JSON')
  .action(
    async (
      rule: string,
      o: { entity: string; at?: number; capture?: string; config?: string; dataDir: string; set: string[]; json?: boolean },
    ) => {
      const { at: atS, capture, json, dataDir, ...rest } = o;
      const { explain } = await import('./explain.ts');
      process.exitCode = await explain({ ...rest, rule, atS, capture, dataDir: resolve(dataDir), json: json === true });
    },
  );

addConfigCommand(program, defaultDataDir);
addProbesCommand(program, defaultDataDir);
addDlqCommand(program, defaultDataDir);

rules
  .command('test')
  .description('run the tests that rule files hold through the whole aggregator, in memory')
  .argument('[files...]', 'rule files or folders of them; none: those that run')
  .option('-c, --config <file>', configOfRules)
  .option('--set <path=value>', 'set one field of the configuration; may be repeated', collect, [])
  .option('--json', 'print a JSON line for each test')
  .action(async (files: string[], o: RulesOptions) => {
    const { testRules } = await import('./rules-test.ts');
    process.exitCode = await testRules({ ...o, files, json: o.json === true });
  });

program
  .command('version')
  .description('print the version')
  .action(() => {
    process.stdout.write(`${packageVersion()}\n`);
  });

// `jitterscope tap | head` closes the pipe early: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  if (!isOutOfSpace(error)) throw error;
  const exitCode = report(outputError('OUTPUT_FULL', { cause: messageOf(error) }, error));
  if (!outlivesOutput) process.exit(exitCode);
});
// There is nowhere left to tell it.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
// A pipe may not have taken all. Who interrupted the command does not wait for its reader.
await flushed(process.stdout, interrupted.aborted ? AbortSignal.timeout(500) : interrupted);
// Sockets and timers of libraries must not keep a finished command alive.
process.exit();

/** Expected failures get their message and remedy, others their stack: those are our bugs. */
function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : exitUsage;
  if (thrown instanceof AppError) {
    const [message, remedy] = [thrown.message, thrown.remedy].map((text) => text.split('\n').map(printable).join('\n'));
    process.stderr.write(`${pc.red('error')} ${message}\n${remedy === '' ? '' : `${pc.dim(remedy)}\n`}`);
    return thrown.exitCode;
  }
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.stderr.write(pc.dim(`This is a defect of jitterscope: please report it with the lines above.\n`));
  return 1;
}
