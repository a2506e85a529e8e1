// The demo's own jitterscope: demo-agent.js run --data-dir <folder> … It ends with the demo, also with one that was killed,
// and its data folder with it.
import { rmSync } from 'node:fs';

const dataDir = process.argv[process.argv.indexOf('--data-dir') + 1];
process.once('exit', () => rmSync(dataDir, { recursive: true, force: true }));
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume();
await import('./main.ts');
