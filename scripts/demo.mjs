// `npm run demo -- [args]`: set-up, then `jitterscope demo [args]`.
import { startCommand } from './start.mjs';

export async function main(args) {
  return startCommand(['demo', ...args]);
}
