import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../core/app-error.ts';
import { segmentBase } from '../../core/bus/segment.ts';
import type { Log } from '../../core/log.ts';
import { CollectorMessage, type TimeOffset } from '../../proto/collect.ts';
import { Spool, type SpooledSession, segmentFolder } from './spool.ts';

/** The current session has at least this part of the budget. */
const currentShare = 0.25;
/** What a session's folder takes beside its messages, about. */
const folderBytes = 16 * 1024;
/** Sessions that are kept at most, however small: older ones go whole. */
const maxSessions = 1000;

interface Kept {
  readonly session: SpooledSession;
  readonly segments: { readonly path: string; readonly base: number; readonly bytes: number }[];
}

/**
 * Makes what earlier sessions left fit under the budget of all sessions, the current one's share kept free: the oldest
 * segments of the oldest sessions go. What is gone is a hole to the sender, which declares its items as skipped.
 * @returns the sessions that are left, and how many bytes the current one may take
 */
export async function fitLeftBehind(
  root: string,
  sessions: readonly SpooledSession[],
  maxBytes: number,
  log: Log,
): Promise<{ readonly left: readonly SpooledSession[]; readonly ownBytes: number }> {
  const kept: Kept[] = [];
  for (const session of sessions) kept.push({ session, segments: await segmentsOf(root, session) });
  for (const { session } of kept.splice(0, Math.max(0, kept.length - maxSessions))) {
    log.error(
      { code: 'COLLECTOR_SPOOL_SESSIONS_DELETED', session: session.session },
      'too many sessions wait to be sent: the oldest is deleted, and nobody is told of its items',
    );
    await rm(join(root, session.session), { recursive: true, force: true });
  }
  const allowed = Math.floor(maxBytes * (1 - currentShare));
  let bytes = kept.reduce((sum, one) => sum + bytesOf(one), 0);
  for (const one of kept) {
    if (bytes <= allowed) break;
    const before = bytesOf(one);
    try {
      await shrink(root, one, bytes - allowed);
    } catch (thrown) {
      log.error(
        { code: 'COLLECTOR_SPOOL_NOT_SHRUNK', session: one.session.session, cause: messageOf(thrown) },
        'the spool of an earlier session cannot be made smaller',
      );
    }
    bytes -= before - bytesOf(one);
    log.warn(
      { code: 'COLLECTOR_SPOOL_FULL', session: one.session.session, bytes: before - bytesOf(one) },
      'the spool is full: the oldest items are given up',
    );
  }
  return { left: kept.map(({ session }) => session), ownBytes: Math.max(Math.floor(maxBytes * currentShare), maxBytes - bytes) };
}

async function segmentsOf(root: string, session: SpooledSession): Promise<Kept['segments']> {
  const folder = segmentFolder(root, session.session);
  const segments: Kept['segments'] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const base = segmentBase(name);
    const path = join(folder, name);
    if (base !== undefined) segments.push({ path, base, bytes: (await stat(path)).size });
  }
  return segments.sort((a, b) => a.base - b.base);
}

/** Deletes the oldest segments so that `excessBytes` go; of a session that must go whole, its end stays. */
async function shrink(root: string, one: Kept, excessBytes: number): Promise<void> {
  let left = excessBytes;
  const drop = async (): Promise<void> => {
    const [oldest] = one.segments;
    await rm(oldest.path, { force: true });
    one.segments.shift();
    left -= oldest.bytes;
  };
  while (left > 0 && one.segments.length > 1) await drop();
  if (left <= 0 || one.segments.length === 0) return;
  await closeSession(root, one.session, one.segments[0].base + 1);
  const found = await segmentsOf(root, one.session);
  one.segments.splice(0, one.segments.length, ...found);
}

/**
 * Replaces what a session still has by an empty batch behind all of its items. Of a damaged end it can say only what other
 * messages tell.
 */
async function closeSession(root: string, session: SpooledSession, fromSeq: number): Promise<void> {
  // The smallest cap: each append drops all segments but the one before it, and begins one of its own.
  const spool = await Spool.open(root, session, 1, {});
  try {
    let { nextItem } = await spool.acked();
    let clockOffset: TimeOffset | null = null;
    const lastSeq = (await spool.nextSeq()) - 1;
    for await (const { messages } of spool.read(fromSeq, new AbortController().signal, lastSeq)) {
      for (const { value } of messages) {
        const { batch, heartbeat, keyframe } = CollectorMessage.decode(value);
        const end = (batch?.firstItem ?? 0) + (batch?.count ?? 0);
        nextItem = Math.max(nextItem, end, heartbeat?.nextItem ?? 0, keyframe?.nextItem ?? 0);
        clockOffset = batch?.clockOffset ?? heartbeat?.clockOffset ?? clockOffset;
      }
    }
    for (let seq = lastSeq + 1; seq <= lastSeq + 2; seq++) {
      await spool.append(CollectorMessage.encode({ seq, batch: { firstItem: nextItem, count: 0, clockOffset } }).finish());
    }
  } finally {
    await spool.close();
  }
}

function bytesOf({ segments }: Kept): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, folderBytes);
}
