import { chmod, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { AppError, errorTable, messageOf } from './app-error.ts';
import { sleep } from './retry.ts';

/** What can go wrong at a control socket. */
export const controlError = errorTable({
  CONTROL_LISTEN: {
    message: 'the control socket {path} cannot be made: {cause}',
    retryable: true,
    remedy: 'Free space on the file system of the data folder, and check that it can be written.',
    exitCode: 75,
  },
  CONTROL_UNREACHABLE: {
    message: 'no jitterscope answers at {path}: {cause}',
    retryable: true,
    remedy: 'Start one with `npm start`, or name its data folder with --data-dir.',
    exitCode: 75,
  },
  CONTROL_REQUEST: {
    message: 'a request is one line of JSON with a method; found {found}',
    retryable: false,
    remedy: 'The command and the running process are of different versions.',
  },
  CONTROL_NO_COLLECTOR: {
    message: 'the running jitterscope has no probes: its native addon is not built',
    retryable: false,
    remedy: '`npm run build` says why; start it again then.',
    exitCode: 69,
  },
  CONTROL_UNKNOWN_METHOD: {
    message: 'the running jitterscope knows no request {method}; it knows {known}',
    retryable: false,
    remedy: 'The command and the running process are of different versions.',
  },
});

/** What a method threw, as it is passed on. */
interface Refusal {
  readonly message: string;
  readonly remedy: string;
  /** Of the command that asked. */
  readonly exitCode: number;
}

/** A request's parameters and answers are JSON; one line each. */
export type ControlParams = Readonly<Record<string, unknown>>;

/** Answers one request: each value yielded is one line. The signal aborts when the client is gone. */
export type ControlMethod = (params: ControlParams, signal: AbortSignal) => AsyncIterable<unknown>;

/** Unix socket paths are cut off here by the kernel (sun_path, unix(7)). */
export const maxSocketPathBytes = 107;

/** Answers requests on `<data-dir>/control.sock`, for its owner alone. */
export class ControlServer {
  readonly #methods: ReadonlyMap<string, ControlMethod>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Methods that run. */
  readonly #running = new Set<Promise<void>>();

  private constructor(methods: ReadonlyMap<string, ControlMethod>) {
    this.#methods = methods;
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  /** Rejects with CONTROL_LISTEN when the file system refuses. */
  static async listen(path: string, methods: ReadonlyMap<string, ControlMethod>): Promise<ControlServer> {
    await unlink(path).catch(() => undefined);
    const control = new ControlServer(methods);
    const umask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        control.#server.once('error', reject);
        control.#server.listen(path, resolve);
      });
      await chmod(path, 0o600);
    } catch (thrown) {
      control.#server.close();
      throw controlError('CONTROL_LISTEN', { path, cause: messageOf(thrown) }, thrown);
    } finally {
      process.umask(umask);
    }
    return control;
  }

  /**
   * Takes no more requests, and aborts those under way. Resolves with whether their methods have ended: they have up to
   * `graceMs` for it. May be called again to wait for longer.
   */
  async close(graceMs = 0): Promise<boolean> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#running.size === 0) return true;
    const ended = new AbortController();
    const all = Promise.all(this.#running).then(() => true);
    const late = sleep(graceMs, ended.signal).then(() => false);
    late.catch(() => undefined);
    return Promise.race([all, late]).finally(() => ended.abort());
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    const gone = new AbortController();
    const leave = (): void => {
      this.#sockets.delete(socket);
      gone.abort(new Error('the client is gone'));
    };
    socket.on('close', leave);
    socket.on('error', leave);
    const lines = createInterface({ input: socket, crlfDelay: Infinity });
    // It passes the socket's errors on: a client that is killed must not end this process.
    lines.on('error', () => undefined);
    lines.once('line', (line) => {
      const running = this.#answer(socket, line, gone.signal)
        .catch((thrown: unknown) => void send(socket, { error: refusalOf(thrown) }))
        .finally(() => {
          this.#running.delete(running);
          socket.end();
        });
      this.#running.add(running);
    });
  }

  async #answer(socket: Socket, line: string, signal: AbortSignal): Promise<void> {
    const request = requestOf(line);
    const method = this.#methods.get(request.method);
    if (method === undefined) {
      throw controlError('CONTROL_UNKNOWN_METHOD', { method: request.method, known: [...this.#methods.keys()].join(', ') });
    }
    for await (const value of method(request.params, signal)) {
      if (signal.aborted) return;
      if (!send(socket, { value })) await writable(socket, signal);
    }
  }
}

/** Asks a running process. Yields its answers; throws CONTROL_* otherwise. */
export async function* askControl(path: string, method: string, params: ControlParams = {}, signal?: AbortSignal): AsyncGenerator<unknown> {
  const socket = await connect(path);
  const stop = (): void => void socket.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  const lines = createInterface({ input: socket, crlfDelay: Infinity });
  // It passes errors of the socket on, of which there may be two: of writing and of reading.
  lines.on('error', () => undefined);
  // A destroyed socket has no end, only a close.
  socket.once('close', () => lines.close());
  try {
    socket.write(`${JSON.stringify({ method, params })}\n`);
    for await (const line of lines) {
      const answer = answerOf(line, path);
      if (answer.error !== undefined) throw refused(answer.error);
      yield answer.value;
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    if (signal?.aborted !== true) throw controlError('CONTROL_UNREACHABLE', { path, cause: messageOf(thrown) }, thrown);
  } finally {
    signal?.removeEventListener('abort', stop);
    socket.destroy();
  }
}

function requestOf(line: string): { readonly method: string; readonly params: ControlParams } {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch (thrown) {
    throw controlError('CONTROL_REQUEST', { found: messageOf(thrown) }, thrown);
  }
  const { method, params } = (request ?? {}) as { method?: unknown; params?: unknown };
  if (typeof method !== 'string') throw controlError('CONTROL_REQUEST', { found: line.slice(0, 80) });
  return { method, params: typeof params === 'object' && params !== null ? (params as ControlParams) : {} };
}

function answerOf(line: string, path: string): { value?: unknown; error?: Refusal } {
  try {
    return JSON.parse(line) as ReturnType<typeof answerOf>;
  } catch (thrown) {
    throw controlError('CONTROL_UNREACHABLE', { path, cause: 'it ended within an answer' }, thrown);
  }
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => resolve(socket));
    socket.once('error', (thrown) => reject(controlError('CONTROL_UNREACHABLE', { path, cause: messageOf(thrown) }, thrown)));
  });
}

function send(socket: Socket, value: unknown): boolean {
  return socket.writable && socket.write(`${JSON.stringify(value)}\n`);
}

function writable(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      socket.removeListener('drain', done);
      resolve();
    };
    socket.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function refusalOf(thrown: unknown): Refusal {
  const { remedy, exitCode } = thrown instanceof AppError ? thrown : { remedy: '', exitCode: 1 };
  return { message: messageOf(thrown), remedy, exitCode };
}

function refused({ message, remedy, exitCode }: Refusal): AppError {
  return new AppError('CONTROL_REFUSED', { message: '{message}', retryable: false, remedy: '{remedy}', exitCode }, { message, remedy });
}
