/** One row of an `errors.ts`: everything that is said about one failure, in one place. */
export interface ErrorRow {
  /** What was attempted, found and expected; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** Whether the same call may succeed later without anybody's doing. */
  readonly retryable: boolean;
  /** What the reader can do about it. */
  readonly remedy: string;
  /** Exit code of a command that ends with it (sysexits: 69 part missing, 75 not reachable, 77 privilege, 78 configuration). */
  readonly exitCode?: number;
}

/** Values put into an error's message. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** An expected failure: has a code, a judgement and a remedy, and is shown without a stack trace. */
export class AppError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly remedy: string;
  readonly exitCode: number;
  readonly details: ErrorDetails;

  constructor(code: string, row: ErrorRow, details: ErrorDetails, cause?: unknown) {
    super(fill(row.message, details), cause === undefined ? undefined : { cause });
    this.name = 'AppError';
    this.code = code;
    this.retryable = row.retryable;
    this.remedy = fill(row.remedy, details);
    this.exitCode = row.exitCode ?? 1;
    this.details = details;
  }
}

/** Makes a table of errors into the function that creates them: `const busError = errorTable({ BUS_FULL: {...} })`. */
export function errorTable<Rows extends Readonly<Record<string, ErrorRow>>>(rows: Rows) {
  return (code: keyof Rows & string, details: ErrorDetails = {}, cause?: unknown): AppError =>
    new AppError(code, rows[code], details, cause);
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).replace(opensslNoise, '$1');
}

/** OpenSSL's reason stands between the thread, numbers, function, file and line that it comes from. */
const opensslNoise = /(?:[0-9A-F]{4,}:)?error:[0-9A-F]{8}:[^:\n]*:[^:\n]*:([^:\n]+)(?::[^:\n]+:\d+:(?:SSL alert number \d+)?\n?)?/g;

function fill(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (Object.hasOwn(details, name) ? String(details[name]) : whole));
}
