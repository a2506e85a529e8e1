import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TemporaryFolder } from './data-folder.ts';
import { freePort } from './free-port.ts';
import { JitterscopeProcess } from './jitterscope-process.ts';
import { patiently } from './patiently.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const limitMs = 120_000;
/** What depends on where an example runs: addresses, paths, and how many brokers there are. */
const ofThePlace = /(^|\.)(listen|address|url|urls|brokers|ca|cert|key|[a-zA-Z]+File|replicationFactor)$/;

/** Paths of all examples, in `examples/`. */
export function exampleFiles(): string[] {
  const names = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.yaml')).sort();
}

/** The commands of an example's head that start jitterscope: their arguments. */
export function commandsOf(example: string): string[][] {
  const head = readFileSync(join(root, 'examples', example), 'utf8').split(/^[^#]/m, 1)[0];
  return [...head.matchAll(/^# {3}(?:sudo )?npx jitterscope (run .*)$/gm)].map(([, words]) => words.split(' '));
}

/** Starts examples as their heads say, each process with a data folder of its own, and ends them. */
export class ExampleRun {
  readonly #folder: Pick<TemporaryFolder, 'fresh'>;
  readonly #processes = new Map<string, JitterscopeProcess>();

  constructor(folder: Pick<TemporaryFolder, 'fresh'>) {
    this.#folder = folder;
  }

  /**
   * Starts all processes of an example at once, and waits until all are ready. Resolves with their data folders, by role, and
   * the address of one's /metrics.
   * @param settings of the place where it runs, as --set has them; others are refused
   */
  async start(
    example: string,
    settings: Readonly<Record<string, string>> = {},
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Record<string, string>> {
    const stranger = Object.keys(settings).find((path) => !ofThePlace.test(path));
    if (stranger !== undefined) throw new Error(`an example runs as it is shipped, and ${stranger} is no address or path`);
    const places: Record<string, string> = {};
    const starts = commandsOf(example).map(async (words) => {
      const role = optionOf(words, '--role') ?? 'all';
      const dataDir = this.#folder.fresh(join(example, role));
      const metrics = `127.0.0.1:${await freePort()}`;
      Object.assign(places, { [role]: dataDir, metrics });
      const sets = Object.entries({ ...settings, 'metrics.listen': metrics }).flatMap(([path, value]) => ['--set', `${path}=${value}`]);
      const process = new JitterscopeProcess([...words.map((word, at) => placed(word, words[at - 1], dataDir)), ...sets], environment);
      this.#processes.set(`${example} ${role}`, process);
      await this.#ready(`${example}, role ${role}`, process, metrics);
    });
    await Promise.all(starts);
    return places;
  }

  /** Ends them in order, collectors first. */
  async stop(): Promise<void> {
    for (const isFirst of [true, false]) {
      const those = [...this.#processes].filter(([name]) => name.endsWith(' collector') === isFirst);
      await Promise.all(those.map(([, process]) => process.stop()));
    }
    this.#processes.clear();
  }

  /** What its processes said on standard error, for whoever looks for a cause. */
  said(): string {
    return [...this.#processes].map(([name, { stderr }]) => `${name}: ${stderr.slice(-2_000)}`).join('\n');
  }

  async #ready(name: string, process: JitterscopeProcess, metrics: string): Promise<void> {
    let problems = 'nothing yet';
    await patiently(`${name} is ready`, limitMs, async () => {
      if (!process.running) throw new Error(`${name} ended: ${process.stdout.slice(-500)} ${process.stderr.slice(-2_000)}`);
      const response = await fetch(`http://${metrics}/readyz`).catch(() => undefined);
      problems = (await response?.text()) ?? problems;
      return response?.ok === true;
    }).catch((thrown: Error) => {
      throw new Error(`${thrown.message}: ${problems} ${process.stderr.slice(-2_000)}`, { cause: thrown });
    });
  }
}

function optionOf(words: readonly string[], option: string): string | undefined {
  const at = words.indexOf(option);
  return at < 0 ? undefined : words[at + 1];
}

/** The word of a head's command as the test has it: paths are of the repository, the data folder of the test. */
function placed(word: string, before: string | undefined, dataDir: string): string {
  if (before === '--config') return join(root, word);
  return before === '--data-dir' ? dataDir : word;
}

/** Provokes resets on the loopback, again and again, until a store shows one. @param holds whether it shows one of this port */
export async function expectSeen(what: string, holds: (port: number) => boolean | Promise<boolean>, run: ExampleRun): Promise<void> {
  const port = await freePort();
  await patiently(`${what} shows the reset of port ${port}`, limitMs, async () => {
    await refusedConnect(port);
    return holds(port);
  }).catch((thrown: Error) => {
    throw new Error(`${thrown.message}\n${run.said()}`, { cause: thrown });
  });
}

/** Nobody listens there: the kernel answers with a reset. */
async function refusedConnect(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect').catch(() => undefined);
  socket.destroy();
}

function isWanted(line: string, port: number, node?: string): boolean {
  return new RegExp(`"port":${port}[,}]`).test(line) && (node === undefined || line.includes(`"host":{"name":"${node}"}`));
}

/** Whether files of a data folder, of any partition, have an event (of a node) that names a port. */
export function filesHold(dataDir: string, port: number, node?: string): boolean {
  const dir = join(dataDir, 'events');
  const names = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.ndjson')) : [];
  return names.some((name) =>
    readFileSync(join(dir, name), 'utf8')
      .split('\n')
      .some((line) => isWanted(line, port, node)),
  );
}
