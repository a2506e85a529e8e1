import { z } from 'zod';
import { size } from '../../../core/quantity.ts';

/** Section `sinks.file`. */
export const fileSinkSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Write events to local files, one JSON document a line.'),
  dir: z.string().min(1).optional().describe('Folder of the files; default: events/ in the data folder.'),
  maxFileSize: size('64MiB', { atLeast: '64KiB' }).describe('A file is closed before it grows past this size.'),
  maxFiles: z.int().min(2).max(999_999).default(20).describe('Files kept per partition; the oldest are deleted.'),
  gzip: z.boolean().default(true).describe('Compress closed files.'),
});
