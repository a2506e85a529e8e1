import { printableJson } from './printable.ts';

/** What stands before the fields of an entry. */
const leading = new Set(['level', 'time', 'component', 'msg']);

/** An entry of the log, a line of JSON, as a line for people: time, level, component, message, then what else it says. */
export function logText(line: string): string {
  const entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const { level, time, component, msg } = entry;
  const fields = Object.entries(entry)
    .filter(([name]) => !leading.has(name))
    .map(([name, value]) => ` ${name}=${valueText(value)}`);
  const from = component === undefined ? '' : `${String(component)}: `;
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${from}${printableJson(String(msg))}${fields.join('')}\n`;
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@-]+$/.test(value) ? value : printableJson(JSON.stringify(value));
  return printableJson(JSON.stringify(value));
}
