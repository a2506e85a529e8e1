import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../core/app-error.ts';
import { topics } from '../proto/bus.ts';
import type { Config } from './config.ts';
import type { Finding } from './finding.ts';
import type { LogGrowth } from './storage-rates.ts';

/** Whether the data folder can be written, and whether the caps fit into it. */
export function* folderFindings(
  dataDir: string,
  { bus, collector, sinks }: Pick<Config, 'bus' | 'collector' | 'sinks'>,
): Generator<Finding> {
  let folder = dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) {
    const found = folder === dataDir ? 'is a file, and no folder' : `cannot be made: ${folder} is a file`;
    yield { area: 'data', what: dataDir, state: 'failed', found, remedy: 'Name a folder with --data-dir.' };
    return;
  }
  try {
    accessSync(folder, constants.W_OK);
  } catch (thrown) {
    const remedy = 'Name a folder of your own with --data-dir, or run as the owner of this one.';
    yield { area: 'data', what: dataDir, state: 'failed', found: `cannot be written: ${messageOf(thrown)}`, remedy };
    return;
  }
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  const { rawSize, eventsSize, metricsSize, deadLettersSize } = bus;
  const filesBytes = sinks.file.enabled ? sinks.file.maxFileSize * sinks.file.maxFiles : 0;
  const capBytes = collector.spoolSize + rawSize + eventsSize + metricsSize + deadLettersSize + filesBytes;
  const fits = freeBytes >= capBytes;
  yield {
    area: 'data',
    what: dataDir,
    state: fits ? 'ok' : 'degraded',
    found: `${sizeText(freeBytes)} free; the caps take up to ${sizeText(capBytes)}`,
    ...(fits ? {} : { remedy: 'Each cap is lowered to 80 % of what is free. Free space, or lower bus.* and collector.spoolSize.' }),
  };
}

/** What a log is for, where it is full. */
const meanings: Readonly<Record<string, { readonly what: string; readonly until: string; readonly full: string }>> = {
  spool: { what: 'spool', until: 'without the gateway', full: 'the oldest batches are given up, counted' },
  [topics.raw]: { what: 'raw log', until: 'without a checkpoint', full: 'it takes no more, and collectors spool' },
  [topics.events]: { what: 'events log', until: 'without a sink that reads', full: 'the oldest events go, counted for each sink' },
  [topics.metrics]: { what: 'metrics log', until: 'without a sink that reads', full: 'the oldest go; each minute tells all series again' },
  [topics.deadLetters]: { what: 'dead letters', until: 'until somebody takes them out', full: 'the oldest go' },
};

/** Less than this is a matter for an operator. */
const shortHours = 1;

/** How long each log of a running process lasts; of a topic's partitions the one that lasts shortest. */
export function* growthFindings(logs: readonly LogGrowth[]): Generator<Finding> {
  for (const name of new Set(logs.map((log) => log.name))) {
    const meaning = meanings[name];
    if (meaning === undefined) continue;
    const partitions = logs.filter((log) => log.name === name).sort((a, b) => leftSeconds(a) - leftSeconds(b));
    const { bytes, maxBytes, bytesPerSecond, overSeconds } = partitions[0];
    const fill = `${sizeText(bytes)} of ${sizeText(maxBytes)}`;
    const hours = leftSeconds(partitions[0]) / 3600;
    // A log that deletes its oldest at its cap is full in the ordinary course of things: what it keeps is what counts.
    const keptHours = name === topics.raw || name === 'spool' ? hours : maxBytes / bytesPerSecond / 3600;
    if (!Number.isFinite(keptHours)) {
      yield { area: 'data', what: meaning.what, state: 'ok', found: `${fill}; nothing came in ${Math.round(overSeconds)} s` };
      continue;
    }
    const short = keptHours < shortHours;
    yield {
      area: 'data',
      what: meaning.what,
      state: short ? 'degraded' : 'ok',
      found: `${fill}; at the ${sizeText(bytesPerSecond)}/s of the last ${Math.round(overSeconds)} s it lasts ${hoursText(keptHours)} ${meaning.until}`,
      ...(short ? { remedy: `Then ${meaning.full}. Make its cap larger, or mend what it waits for.` } : {}),
    };
  }
}

/** Until it is full. */
function leftSeconds({ bytes, maxBytes, bytesPerSecond }: LogGrowth): number {
  return bytesPerSecond > 0 ? Math.max(0, maxBytes - bytes) / bytesPerSecond : Number.POSITIVE_INFINITY;
}

/** A size for people: 1.5 GiB. */
function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** unit;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function hoursText(hours: number): string {
  if (hours < 1) return `${Math.floor(hours * 60)} minutes`;
  if (hours < 100) return `${hours.toFixed(1)} hours`;
  return `${Math.floor(hours / 24)} days`;
}
