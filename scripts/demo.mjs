// `npm run demo -- [args]`: set-up, then `jitterscope demo [args]`.
import { isRoot } from './setup-system.mjs';
import { becomeCommand } from './start.mjs';

export async function main(args) {
  // Without root it replays a capture, and breaks nothing that would need more.
  return becomeCommand(['demo', ...args], isRoot() ? 'demo' : undefined);
}
