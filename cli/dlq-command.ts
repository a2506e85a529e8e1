import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { LetterFilter } from '../core/dead-letter-box.ts';
import { listLetters, purgeLetters, replayLetters, showLetter } from './dlq.ts';

interface DlqFlags {
  readonly dataDir: string;
  readonly json?: boolean;
  readonly stage?: string;
  readonly target?: string;
  readonly code?: string;
}

/** Adds `jitterscope dlq list | show | replay | purge`. */
export function addDlqCommand(program: Command, defaultDataDir: string): void {
  const command = program.command('dlq').description('dead letters: what a stage or a store will never take as it is, with the reason');

  const add = (name: string, description: string, filters: boolean): Command => {
    const sub = command.command(name).description(description);
    sub.option('-d, --data-dir <dir>', "the running one's data folder", defaultDataDir).option('--json', 'print JSON');
    if (!filters) return sub;
    return sub
      .option('--stage <stage>', 'only those of this stage: aggregator, sink')
      .option('--target <sink>', 'only those of this sink')
      .option('--code <code>', 'only those with this code');
  };

  add('list', 'those that wait, oldest first', true)
    .option('--limit <n>', 'at most so many', positive, 100)
    .action(async (o: DlqFlags & { limit: number }) => {
      process.exitCode = await listLetters(optionsOf(o), filterOf(o), o.limit);
    });
  add('show', 'one of them, with the event or the bytes that it holds', false)
    .argument('<id>', 'as `dlq list` shows it', letterId)
    .action(async (id: string, o: DlqFlags) => {
      process.exitCode = await showLetter(optionsOf(o), id);
    });
  for (const [name, description, act] of [
    ['replay', "send a sink's letters once more, through that sink alone; what it still does not take stays", replayLetters],
    ['purge', 'take letters away without sending them', purgeLetters],
  ] as const) {
    const sub = add(name, description, true)
      .argument('[ids...]', 'as `dlq list` shows them', (id: string, before: string[] = []) => [...before, letterId(id)])
      .option('--all', 'all of them, or all that the other options name');
    sub.action(async (ids: string[] | undefined, o: DlqFlags & { all?: boolean }) => {
      const filter = filterOf(o);
      const named = ids !== undefined && ids.length > 0;
      if (named === (o.all === true)) sub.error(`error: name letters by their ids, or say --all${named ? ', not both' : ''}`);
      process.exitCode = await act(optionsOf(o), named ? { ...filter, ids } : filter);
    });
  }
}

function optionsOf({ dataDir, json }: DlqFlags) {
  return { dataDir: resolve(dataDir), json: json === true };
}

function filterOf({ stage, target, code }: DlqFlags): LetterFilter {
  return { ...(stage !== undefined && { stage }), ...(target !== undefined && { target }), ...(code !== undefined && { code }) };
}

function letterId(text: string): string {
  if (!/^\d{1,9}-\d{1,16}$/.test(text)) throw new InvalidArgumentError('expected an id such as 0-17');
  return text;
}

function positive(text: string): number {
  const found = Number(text);
  if (!Number.isSafeInteger(found) || found < 1) throw new InvalidArgumentError('expected a whole number of at least 1');
  return found;
}
