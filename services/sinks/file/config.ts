import { z } from 'zod';

const units: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Bytes of a size as `64MiB`. */
const size = z
  .string()
  .regex(/^\d+(\.\d+)?(B|KiB|MiB|GiB)$/, 'expected a number and a unit: B, KiB, MiB or GiB, as in 64MiB')
  .transform((text) => Math.floor(Number.parseFloat(text) * units[text.replace(/^[\d.]+/, '')]));

/** Section `sinks.file`. */
export const fileSinkSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Write events to local files, one JSON document a line.'),
  dir: z.string().min(1).optional().describe('Folder of the files; default: events/ in the data folder.'),
  maxFileSize: size
    .refine((bytes) => bytes >= 64 * 1024, 'expected at least 64KiB')
    .prefault('64MiB')
    .describe('A file is closed before it grows past this size.'),
  maxFiles: z.int().min(2).max(999_999).default(20).describe('Files kept per partition; the oldest are deleted.'),
  gzip: z.boolean().default(true).describe('Compress closed files.'),
});

export type FileSinkConfig = z.output<typeof fileSinkSchema>;
