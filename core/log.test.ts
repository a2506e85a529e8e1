import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorTable } from './app-error.ts';
import { createLog, type LeveledLog, type LogFormat, type LogLevel, LogLimiter, limitedLog, logOf } from './log.ts';

test('one entry a key goes through in a period; the next one tells how many were held back', () => {
  const limiter = new LogLimiter(3_600_000);
  const written: [string, number][] = [];
  const log = (key: string) => limiter.once(key, (heldBack) => written.push([key, heldBack]));
  for (let i = 0; i < 5; i++) log('a');
  log('b');
  expect(written).toEqual([
    ['a', 0],
    ['b', 0],
  ]);
});

test('after the period the held back entries are told', () => {
  const limiter = new LogLimiter(0);
  const told: number[] = [];
  limiter.once('a', (heldBack) => told.push(heldBack));
  limiter.once('a', (heldBack) => told.push(heldBack));
  expect(told).toEqual([0, 0]);
});

test('any number of keys takes bounded memory and lets each through', () => {
  const limiter = new LogLimiter(3_600_000);
  let written = 0;
  for (let key = 0; key < 5000; key++) limiter.once(String(key), () => written++);
  expect(written).toBe(5000);
});

/** What a log writes. */
function written(format: LogFormat, level: LogLevel, write: (log: LeveledLog) => void): string[] {
  const lines: string[] = [];
  write(createLog(level, format, { write: (line) => void lines.push(line) }));
  return lines;
}

test('an entry is one line of JSON with level, time, component, message and fields', () => {
  const [line] = written('json', 'warn', (log) => logOf(log, 'gateway').warn({ code: 'GATEWAY_X', heldBack: 2 }, 'it\nfailed'));
  expect(line).toMatch(/^\{.*\}\n$/);
  expect(JSON.parse(line)).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    component: 'gateway',
    code: 'GATEWAY_X',
    heldBack: 2,
    msg: 'it\nfailed',
  });
});

test('as text it is one line for people, and nothing in it moves their terminal', () => {
  const fields = { code: 'A_B', path: '/var/lib', cause: 'a b\u001b[31m', list: [1, 'x'] };
  const [line] = written('text', 'debug', (log) => logOf(log, 'sinks').error(fields, 'cannot\nwrite\u009b2J'));
  expect(line).toMatch(/^\S+Z ERROR sinks: cannot\\u000awrite\\u009b2J code=A_B path=\/var\/lib cause="a b\\u001b\[31m" list=\[1,"x"\]\n$/);
});

test('the level is changed while the log is used, also of its components', () => {
  const lines = written('text', 'error', (log) => {
    const part = logOf(log, 'part');
    part.info({}, 'before');
    log.setLevel('info');
    part.info({}, 'after');
    log.setLevel('silent');
    part.error({}, 'never');
  });
  expect(lines).toEqual([expect.stringContaining('INFO  part: after')]);
});

test('an expected failure is told without its stack, a defect with it', () => {
  const expected = errorTable({ A_B: { message: 'no room', retryable: true, remedy: 'make room' } })('A_B');
  const [one, two] = written('json', 'error', (log) => {
    log.error({ err: expected }, 'expected');
    log.error({ err: new TypeError('defect') }, 'not expected');
  }).map((line) => JSON.parse(line) as { err: unknown });
  expect(one.err).toEqual({ code: 'A_B', message: 'no room', remedy: 'make room' });
  expect(two.err).toMatchObject({ type: 'TypeError', stack: expect.stringContaining('at ') });
});

test('a limited log writes one warning of a code and partition in a period, and all of what is no warning', () => {
  const lines = written('json', 'debug', (log) => {
    const limited = limitedLog(logOf(log, 'sinks'), new LogLimiter(3_600_000));
    for (let i = 0; i < 3; i++) limited.warn({ code: 'A_B', partition: 0, path: String(i) }, `of file ${i}`);
    limited.warn({ code: 'A_B', partition: 1 }, 'elsewhere');
    limited.error({ code: 'A_B', partition: 0 }, 'worse');
    for (let i = 0; i < 3; i++) limited.info({}, 'as it is');
  });
  const messages = lines.map((line) => (JSON.parse(line) as { component: string; msg: string }).msg);
  expect(messages).toEqual(['of file 0', 'elsewhere', 'worse', 'as it is', 'as it is', 'as it is']);
});

test('what was held back is told with the next entry, also what a limit of its own held back', () => {
  const lines = written('json', 'warn', (log) => {
    const limiter = new LogLimiter(0);
    // The period is over at once, but for those that come within it.
    const holding = { once: (_: string, write: (heldBack: number) => void) => write(5) } as unknown as LogLimiter;
    limitedLog(log, limiter).warn({ code: 'A_B' }, 'first');
    limitedLog(log, holding).warn({ code: 'A_B', heldBack: 2 }, 'second');
  });
  expect(lines.map((line) => (JSON.parse(line) as { heldBack?: number }).heldBack)).toEqual([undefined, 7]);
});

test('a disk that takes no line ends nobody', () => {
  // Writes to it are refused with ENOSPC: full(4).
  const fd = openSync('/dev/full', 'w');
  try {
    const log = createLog('info', 'json', fd);
    for (let line = 0; line < 5_000; line++) log.error({ code: 'X', filler: 'x'.repeat(1000) }, 'refused');
  } finally {
    closeSync(fd);
  }
});
