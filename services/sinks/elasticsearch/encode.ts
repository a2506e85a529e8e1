import type { Batch, ItemError } from '../sink.ts';
import { elasticsearchError } from './errors.ts';
import type { IndexNames } from './index-name.ts';

/** The body of a bulk request. */
export interface BulkBody {
  /** NDJSON: an action and the ready line of each item that is sent. */
  readonly bytes: Buffer;
  /** Positions in `batch.items` that are sent, in the order of the body. */
  readonly sent: readonly number[];
  /** Not sent: the server would refuse the whole request for one of them. */
  readonly rejected: readonly ItemError[];
}

const validId = /^[\w-]{1,512}$/;
const open = '{"create":{"_index":"';
const between = '","_id":"';
const close = '"}}\n';
const fixedBytes = open.length + between.length + close.length;

/** Assembles a bulk request from the lines as they are: they are neither parsed nor encoded again. */
export function encodeBulk({ view, items }: Batch, names: IndexNames): BulkBody {
  const nameOf = names.forRequest();
  const sent: number[] = [];
  const actions: string[] = [];
  const rejected: ItemError[] = [];
  let length = 0;
  for (let item = 0; item < items.length; item++) {
    const row = items[item];
    const id = view.id(row);
    if (!validId.test(id)) {
      rejected.push({ item, error: elasticsearchError('ELASTICSEARCH_ID_INVALID', { found: JSON.stringify(id).slice(0, 80) }) });
      continue;
    }
    const name = nameOf(view.timeSeconds(row), view.appendedDay(row));
    sent.push(item);
    actions.push(open + name + between + id + close);
    length += fixedBytes + name.length + id.length + view.lineLength(row);
  }
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (let index = 0; index < sent.length; index++) {
    at += bytes.write(actions[index], at, 'latin1');
    const line = view.line(items[sent[index]]);
    bytes.set(line, at);
    at += line.length;
  }
  return { bytes, sent, rejected };
}
