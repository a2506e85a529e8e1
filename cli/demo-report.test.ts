import { expect, test } from 'vitest';
import type { DemoFault } from './demo-faults.ts';
import { DemoReport } from './demo-report.ts';

const start = async (): Promise<void> => undefined;
const faults: readonly DemoFault[] = [
  { rule: 'connect-failures', entity: 'demo-client', what: 'a closed port', start },
  { rule: 'packet-drops', entity: 'demo-web', what: 'a filter', start },
];

function lineOf(kind: string, type: string, netns: string, action = 'anomaly-opened'): string {
  const jitterscope = { type, netns: { name: netns }, evidence: [{ text: 'it is \u001b[31mred', weight: 0 }] };
  return JSON.stringify({
    '@timestamp': '',
    message: `${netns} has trouble`,
    log: { level: 'warning' },
    event: { kind, action },
    jitterscope,
  });
}

function reportOf(lines: readonly string[]): { readonly said: string; readonly exitCode: number } {
  const said: string[] = [];
  const report = new DemoReport(faults, (text) => said.push(text));
  for (const line of lines) report.take(line);
  const exitCode = report.close();
  return { said: said.join('\n'), exitCode };
}

test('events of the demo are counted, each finding is shown with its evidence, and all faults found are a success', () => {
  const { said, exitCode } = reportOf([
    lineOf('event', 'tcplife', 'demo-client'),
    lineOf('event', 'tcplife', 'somebody-else'),
    lineOf('alert', 'connect-failures', 'demo-client'),
    lineOf('alert', 'packet-drops', 'demo-web'),
  ]);
  expect(said).toContain('demo-client has trouble');
  expect(said).toContain('because');
  expect(said).toContain('2 of 2 faults were found and explained');
  expect(said).toContain('out of 1 kernel events');
  expect(exitCode).toBe(0);
});

test('a fault without its finding is named, and a failure: one of another entity, or that is over, is none', () => {
  const { said, exitCode } = reportOf([
    lineOf('alert', 'connect-failures', 'demo-web'),
    lineOf('alert', 'packet-drops', 'demo-web', 'anomaly-resolved'),
    lineOf('alert', 'packet-drops', 'other-lab'),
  ]);
  expect(said).toContain('0 of 2 faults were found');
  expect(said).toContain('no finding of packet-drops: a filter');
  expect(exitCode).toBe(1);
});

test('what a finding says cannot drive the terminal', () => {
  const { said } = reportOf([lineOf('alert', 'connect-failures', 'demo-client')]);
  expect(said).not.toContain('\u001b[31mred');
});
