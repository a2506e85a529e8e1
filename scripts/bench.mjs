// `npm run bench -- [args]`: set-up, then bench/main.ts as compiled.
import { join } from 'node:path';
import { becomeProgram } from './start.mjs';

export async function main(args) {
  return becomeProgram(join('bench', 'main.js'), args);
}
