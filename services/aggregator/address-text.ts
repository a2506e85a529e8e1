import { LineBuffer } from './line-buffer.ts';

const scratch = Buffer.alloc(64);
const line = new LineBuffer();

/** The 16 bytes at an offset as text: dotted for ::ffff:a.b.c.d, else as RFC 5952 writes it. */
export function addressText(bytes: Uint8Array, at: number): string {
  line.use(scratch, 0);
  line.address(bytes, at);
  return scratch.toString('latin1', 0, line.at);
}
