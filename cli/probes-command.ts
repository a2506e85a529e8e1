import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { positiveDurationMs } from './option-values.ts';
import { parsePod } from './pod-filter.ts';
import { listProbes, type OrderOptions, orderProbe } from './probes.ts';

interface OrderFlags {
  readonly dataDir: string;
  readonly pod?: string;
  readonly netns?: string;
  readonly for?: number;
  readonly json?: boolean;
}

/** Adds `jitterscope probes list | enable | disable`. */
export function addProbesCommand(program: Command, defaultDataDir: string): void {
  const command = program
    .command('probes')
    .description('the probes of a running jitterscope: what is attached, and turning them on and off');

  command
    .command('list')
    .description('what each probe is attached to, what it lacks, and what it saw')
    .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
    .option('--json', 'print JSON')
    .action(async (o: { dataDir: string; json?: boolean }) => {
      process.exitCode = await listProbes(resolve(o.dataDir), o.json === true);
    });

  for (const [verb, what, scope] of [
    [
      'enable',
      'attach a probe; with --pod it looks at that Pod only, and at others that were named in the same way',
      'look at this Pod only',
    ],
    ['disable', 'detach a probe; with --pod it leaves out that Pod only', 'leave out this Pod only'],
  ] as const) {
    command
      .command(verb)
      .description(what)
      .argument('<name>', 'the probe, as `probes list` shows it')
      .option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir)
      .addOption(new Option('--pod <namespace/name>', scope).argParser(podTarget).conflicts('netns'))
      .option('--netns <name>', 'as --pod, for a network namespace by its name under /run/netns', netnsTarget)
      .option('--for <time>', 'for so long, then as before; the end of the agent ends it, too', positiveDurationMs)
      .option('--json', 'print JSON')
      .action(async (name: string, o: OrderFlags) => {
        const { dataDir, pod, netns, json } = o;
        const target = pod ?? netns;
        const order = { enable: verb === 'enable', ...(target === undefined ? {} : { target }) };
        const options: OrderOptions = { name, order, json: json === true, ...(o.for === undefined ? {} : { forMs: o.for }) };
        process.exitCode = await orderProbe(resolve(dataDir), options);
      });
  }
}

function podTarget(text: string): string {
  const filter = parsePod(text);
  if (filter?.namespace === undefined) throw new InvalidArgumentError('expected a Pod as namespace/name, such as shop/web-0');
  return text;
}

function netnsTarget(text: string): string {
  if (text === '' || text.includes('/')) throw new InvalidArgumentError('expected a name as `ip netns list` shows it');
  return text;
}
