/** What a machine lacks, and the command that mends it. */
export interface Obstacle {
  readonly what: string;
  readonly command: string;
}

/** A server that was started, on the loopback. */
export interface RunningServer {
  /** Host and port. */
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  /** File with what it writes. */
  readonly log: string;
  /** Whether its process has ended. */
  ended(): boolean;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
}

/** A server that can be installed and started. */
export interface Server<Options extends { readonly dataDir: string }, Running extends RunningServer> {
  readonly name: string;
  readonly version: string;
  /** That clients have as their default: taken by the command where it is free. */
  readonly usualPort: number;
  /** The tier of tests for which `npm test` installs it. */
  readonly tier: string;
  /** Why it is only installed when its tier is asked for by name. */
  readonly onRequest?: string;
  obstacle(): Obstacle | undefined;
  isInstalled(): boolean;
  install(): Promise<string>;
  start(options: Options): Promise<Running>;
}
