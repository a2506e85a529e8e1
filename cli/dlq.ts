import { join } from 'node:path';
import pc from 'picocolors';
import { askControl, type ControlParams } from '../core/control.ts';
import type { LetterFilter } from '../core/dead-letter-box.ts';
import { printable } from '../core/printable.ts';
import type { LetterRow, ReplayRow, ShownLetter } from './dlq-methods.ts';
import { writeAll } from './output.ts';
import { shortSocketPath } from './socket-path.ts';

interface DlqOptions {
  readonly dataDir: string;
  readonly json: boolean;
}

const maxReason = 160;

/** `jitterscope dlq list`: the dead letters that wait, oldest first. Resolves with the exit code. */
export async function listLetters({ dataDir, json }: DlqOptions, filter: LetterFilter, limit: number): Promise<number> {
  let rows = 0;
  for await (const answer of ask(dataDir, 'dlq-list', { ...filter, limit })) {
    const row = answer as LetterRow | { more: number };
    if ('more' in row) {
      if (json) continue;
      if (rows === 0) await print('No dead letters wait.\n');
      if (row.more > 0) await print(pc.dim(`and ${row.more} more: --limit ${rows + row.more}\n`));
      continue;
    }
    rows++;
    await print(json ? `${JSON.stringify(row)}\n` : rowText(row));
  }
  return 0;
}

/** `jitterscope dlq show`: one letter with what it holds. Resolves with the exit code. */
export async function showLetter({ dataDir, json }: DlqOptions, id: string): Promise<number> {
  for await (const answer of ask(dataDir, 'dlq-show', { id })) {
    const letter = answer as ShownLetter;
    await print(json ? `${JSON.stringify(letter, undefined, 2)}\n` : shownText(letter));
  }
  return 0;
}

/** `jitterscope dlq replay`: sends letters once more, each through its sink alone. Resolves with the exit code: 1 when one stays. */
export async function replayLetters({ dataDir, json }: DlqOptions, filter: LetterFilter): Promise<number> {
  let [delivered, stay, doubled] = [0, 0, 0];
  for await (const answer of ask(dataDir, 'dlq-replay', { ...filter })) {
    const row = answer as ReplayRow;
    if (row.delivered) delivered++;
    else stay++;
    if (row.possiblyDoubled === true) doubled++;
    if (json) await print(`${JSON.stringify(row)}\n`);
    else if (!row.delivered)
      await print(`${row.id}  ${pc.yellow('stays')}  ${printable(row.reason ?? '')}\n    ${pc.dim(printable(row.remedy ?? ''))}\n`);
  }
  if (!json) await print(`${delivered} delivered, ${stay} stay\n`);
  if (!json && doubled > 0)
    await print(pc.yellow(`${doubled} of them may be stored twice: a replay before broke off, and the store cannot be asked for them\n`));
  return stay > 0 ? 1 : 0;
}

/** `jitterscope dlq purge`: takes letters away without sending them. Resolves with the exit code. */
export async function purgeLetters({ dataDir, json }: DlqOptions, filter: LetterFilter): Promise<number> {
  for await (const answer of ask(dataDir, 'dlq-purge', { ...filter })) {
    const { purged } = answer as { purged: number };
    await print(json ? `${JSON.stringify({ purged })}\n` : `${purged} purged\n`);
  }
  return 0;
}

function ask(dataDir: string, method: string, params: ControlParams): AsyncGenerator<unknown> {
  return askControl(shortSocketPath(join(dataDir, 'control.sock')), method, params);
}

function print(text: string): Promise<void> {
  return writeAll(process.stdout, text);
}

/** Reasons hold other people's words: values of fields, names. */
function rowText({ id, at, stage, target, code, reason, eventId }: LetterRow): string {
  const short = reason.length > maxReason ? `${reason.slice(0, maxReason)}…` : reason;
  const from = target === '' ? stage : target;
  return `${pc.bold(id)}  ${at.slice(0, 19)}Z  ${printable(from)}  ${printable(eventId ?? 'undecodable message')}\n    ${pc.red(printable(code))}  ${printable(short)}\n`;
}

function shownText(letter: ShownLetter): string {
  const { id, at, stage, target, code, reason, eventId, topic, partition, offset, bytes } = letter;
  const rows: [string, string][] = [
    ['id', id],
    ['given up', `${at} by ${stage}${target === '' ? '' : ` ${target}`}`],
    ['from', `${topic} partition ${partition} offset ${offset}`],
    ['event', eventId ?? 'none: a message that could not be decoded'],
    ['reason', `${code}: ${reason}`],
    ['bytes', String(bytes)],
  ];
  const head = rows.map(([name, value]) => `${name.padEnd(9)}${printable(value)}\n`).join('');
  return `${head}\n${'event' in letter ? printable(letter.event) : letter.payloadBase64}\n`;
}
