// `npm run demo -- [args]`: set-up, then `jitterscope demo [args]`.
import { becomeCommand } from './start.mjs';

export async function main(args) {
  return becomeCommand(['demo', ...args]);
}
