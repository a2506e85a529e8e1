import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { LivePrinter } from './live-printer.ts';

/** Takes nothing before `read` is called. */
function reader(isTTY = false) {
  let take: (() => void) | undefined;
  let text = '';
  let reading = false;
  const out = new Writable({
    highWaterMark: 10,
    decodeStrings: false,
    write(chunk: string, _, done) {
      text += chunk;
      if (reading) done();
      else take = done;
    },
  });
  const read = (): void => {
    reading = true;
    take?.();
  };
  return { out: Object.assign(out, { isTTY }), read, text: () => text };
}

const line = JSON.stringify({ '@timestamp': '2026-11-22T04:31:07.123456789Z', message: 'm' });

test('JSON waits for its reader', async () => {
  const { out, read, text } = reader();
  let shown = false;
  const showing = new LivePrinter(true, out).show(line).then(() => (shown = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(shown).toBe(false);
  read();
  await showing;
  expect(text()).toBe(`${line}\n`);
});

test('JSON waits no longer than its signal', async () => {
  const stop = new AbortController();
  const showing = new LivePrinter(true, reader().out).show(line, stop.signal);
  stop.abort();
  await showing;
});

test('text is counted while its reader takes nothing', async () => {
  const { out, read, text } = reader();
  const printer = new LivePrinter(false, out);
  for (let n = 0; n < 10; n++) await printer.show(line);
  read();
  printer.end();
  await new Promise((resolve) => out.end(resolve));
  expect(text().match(/04:31:07/g)).toHaveLength(1);
  expect(text()).toContain('... and 9 more');
});

test('findings are never left out', async () => {
  const { out, read, text } = reader();
  read();
  const printer = new LivePrinter(false, out);
  const finding = JSON.stringify({ '@timestamp': '2026-11-22T04:31:07.000000000Z', message: 'full', event: { kind: 'alert' } });
  for (let n = 0; n < 100; n++) {
    await printer.show(line);
    await printer.show(finding);
  }
  printer.end();
  expect(text().match(/full/g)).toHaveLength(100);
  expect(text()).toContain('more: the sinks deliver all of them');
});

test.each([true, false])('JSON on a terminal (%s) steers nothing; into files and pipes it goes as it is', async (isTTY) => {
  const { out, read, text } = reader(isTTY);
  read();
  await new LivePrinter(true, out).show('{"a":"\u009b"}');
  expect(text()).toBe(isTTY ? '{"a":"\\u009b"}\n' : '{"a":"\u009b"}\n');
});
