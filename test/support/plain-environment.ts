// Runs before each test file: what the caller's environment says decides nothing, neither colours nor settings.
import '../lab/lab-owner.ts';

process.env.NO_COLOR = '1';
for (const name of Object.keys(process.env)) if (/^(FORCE_COLOR|NODE_NAME|JITTERSCOPE_.*__.*)$/.test(name)) delete process.env[name];
