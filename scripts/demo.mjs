// `npm run demo -- [args]`: set-up, then `jitterscope demo [args]`.
import { join } from 'node:path';
import { becomeProgram } from './start.mjs';

export async function main(args) {
  return becomeProgram(join('cli', 'main.js'), ['demo', ...args]);
}
