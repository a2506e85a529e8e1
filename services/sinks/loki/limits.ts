import type { AppError } from '../../../core/app-error.ts';
import type { EventBatchView } from '../../../schema/batch.ts';
import type { LokiSinkConfig } from './config.ts';
import { lokiError } from './errors.ts';

/** Why Loki would refuse a row, judged before it is sent: its size, its age. Undefined: it would not. */
export function refusalOf(
  view: EventBatchView,
  row: number,
  { maxLineSize, maxAge, maxAhead }: Pick<LokiSinkConfig, 'maxLineSize' | 'maxAge' | 'maxAhead'>,
  nowMs: number,
): AppError | undefined {
  const bytes = view.lineLength(row) - 1;
  if (bytes > maxLineSize) return lokiError('LOKI_LINE_TOO_LONG', { found: bytes, limit: maxLineSize });
  const timeMs = view.timeSeconds(row) * 1000;
  if (timeMs < nowMs - maxAge) return lokiError('LOKI_TOO_OLD', { found: instant(timeMs), limit: instant(nowMs - maxAge) });
  if (timeMs > nowMs + maxAhead) return lokiError('LOKI_TOO_NEW', { found: instant(timeMs), limit: instant(nowMs + maxAhead) });
  return undefined;
}

function instant(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString();
}
