import { Client, credentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { labFile } from './lab-owner.ts';

const types = protobuf.loadSync(labFile('cri-requests.proto'));
const deadlineMs = 60_000;

/** Request and answer of each method that the lab uses (cri-requests.proto). */
const methods = {
  RunPodSandbox: ['RunPodSandboxRequest', 'RunPodSandboxResponse'],
  StopPodSandbox: ['PodSandboxRequest', 'Empty'],
  RemovePodSandbox: ['PodSandboxRequest', 'Empty'],
  PodSandboxStatus: ['PodSandboxRequest', 'PodSandboxStatusResponse'],
  CreateContainer: ['CreateContainerRequest', 'CreateContainerResponse'],
  StartContainer: ['ContainerRequest', 'Empty'],
  StopContainer: ['ContainerRequest', 'Empty'],
  RemoveContainer: ['ContainerRequest', 'Empty'],
  ContainerStatus: ['ContainerStatusRequest', 'ContainerStatusResponse'],
  ExecSync: ['ExecSyncRequest', 'ExecSyncResponse'],
} as const;

/** Asks a container runtime as a kubelet does. */
export class CriRequests {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
  }

  ask(method: keyof typeof methods, request: Record<string, unknown>): Promise<Record<string, unknown>> {
    const [asked, answered] = methods[method].map((name) => types.lookupType(`runtime.v1.${name}`));
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/runtime.v1.RuntimeService/${method}`,
        (message: Record<string, unknown>) => Buffer.from(asked.encode(asked.fromObject(message)).finish()),
        (bytes) => answered.toObject(answered.decode(bytes), { defaults: true, longs: Number }),
        request,
        { deadline: Date.now() + deadlineMs },
        (error, answer) => (error === null ? resolve(answer ?? {}) : reject(new Error(`${method}: ${error.message}`))),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}
