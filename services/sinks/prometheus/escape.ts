/** A label's value, as both text formats escape it. */
export function escapedLabelValue(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

/** HELP of the text format: a quotation mark stays. */
export function escapedHelp(help: string): string {
  return /[\\\n]/.test(help) ? help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n') : help;
}

/** Labels as they stand between the braces. */
export function labelsText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, at) => `${name}="${escapedLabelValue(values[at] ?? '')}"`).join(',');
}
