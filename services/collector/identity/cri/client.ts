import { type CallOptions, Client, type ClientReadableStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import * as cri from '../../../../proto/cri.ts';

/** What is asked of a container runtime. Calls reject with a ServiceError; one of something that is gone gives undefined. */
export interface RuntimeClient {
  version(): Promise<cri.RuntimeVersion>;
  /** Sandboxes that are ready. */
  sandboxes(): Promise<readonly cri.PodSandbox[]>;
  sandboxStatus(id: string): Promise<cri.SandboxStatus | undefined>;
  /** Containers that run. */
  containers(): Promise<readonly cri.RuntimeContainer[]>;
  /** The runtime's own words about a container. */
  containerInfo(id: string): Promise<Readonly<Record<string, string>> | undefined>;
  /** Calls back whenever a container changes, until the signal aborts. Resolves when the runtime has no such stream, rejects when it breaks. */
  events(changed: () => void, signal: AbortSignal): Promise<void>;
  close(): void;
}

interface MessageType<Message> {
  encode(message: Message): { finish(): Uint8Array };
}
interface AnswerType<Answer> {
  decode(bytes: Uint8Array): Answer;
}

const deadlineMs = 5_000;
/** A list of some thousand Pods with their annotations; what is larger is refused by gRPC. */
const maxAnswerBytes = 16 * 1024 * 1024;

/** A client of the runtime behind a Unix socket. It reconnects by itself. */
export class CriClient implements RuntimeClient {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.max_receive_message_length': maxAnswerBytes,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
    });
  }

  version(): Promise<cri.RuntimeVersion> {
    return this.#ask('Version', cri.VersionRequest, { version: 'v1' }, cri.VersionResponse);
  }

  async sandboxes(): Promise<readonly cri.PodSandbox[]> {
    const request = { filter: { state: { state: cri.sandboxReady } } };
    const { items } = await this.#ask('ListPodSandbox', cri.ListPodSandboxRequest, request, cri.ListPodSandboxResponse);
    // Filters are a wish.
    return (items ?? []).filter(({ state }) => (state ?? 0) === cri.sandboxReady);
  }

  sandboxStatus(id: string): Promise<cri.SandboxStatus | undefined> {
    const request = { podSandboxId: id, verbose: true };
    return ifFound(this.#ask('PodSandboxStatus', cri.PodSandboxStatusRequest, request, cri.PodSandboxStatusResponse));
  }

  async containers(): Promise<readonly cri.RuntimeContainer[]> {
    const request = { filter: { state: { state: cri.containerRunning } } };
    const { containers } = await this.#ask('ListContainers', cri.ListContainersRequest, request, cri.ListContainersResponse);
    return (containers ?? []).filter(({ state }) => state === cri.containerRunning);
  }

  async containerInfo(id: string): Promise<Readonly<Record<string, string>> | undefined> {
    const request = { containerId: id, verbose: true };
    const answer = await ifFound(this.#ask('ContainerStatus', cri.ContainerStatusRequest, request, cri.ContainerStatusResponse));
    return answer && (answer.info ?? {});
  }

  events(changed: () => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream: ClientReadableStream<unknown> = this.#client.makeServerStreamRequest(
        `${cri.criServicePath}GetContainerEvents`,
        (message: object) => Buffer.from(cri.GetEventsRequest.encode(message).finish()),
        (bytes) => cri.ContainerEventResponse.decode(bytes),
        {},
      );
      const cancel = (): void => stream.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
      stream.on('data', changed);
      stream.on('error', (error: ServiceError) => {
        signal.removeEventListener('abort', cancel);
        if (error.code === status.UNIMPLEMENTED || signal.aborted) resolve();
        else reject(error);
      });
      stream.on('end', () => reject(new Error('the runtime ended its event stream')));
    });
  }

  close(): void {
    this.#client.close();
  }

  #ask<Request, Answer>(method: string, asked: MessageType<Request>, request: Request, answered: AnswerType<Answer>): Promise<Answer> {
    const options: CallOptions = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<Request, Answer>(
        cri.criServicePath + method,
        (message) => Buffer.from(asked.encode(message).finish()),
        (bytes) => answered.decode(bytes),
        request,
        options,
        (error, answer) => {
          if (error !== null) reject(error);
          else if (answer === undefined) reject(new Error(`${method}: no answer`));
          else resolve(answer);
        },
      );
    });
  }
}

async function ifFound<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    if ((thrown as Partial<ServiceError>).code === status.NOT_FOUND) return undefined;
    throw thrown;
  }
}
