import { runtime } from './gen/cri.js';

/** Messages of the Container Runtime Interface v1 (cri.proto). */
export const {
  VersionRequest,
  VersionResponse,
  ListPodSandboxRequest,
  ListPodSandboxResponse,
  PodSandboxStatusRequest,
  PodSandboxStatusResponse,
  ListContainersRequest,
  ListContainersResponse,
  ContainerStatusRequest,
  ContainerStatusResponse,
  GetEventsRequest,
  ContainerEventResponse,
} = runtime.v1;

/** Path of a method: /runtime.v1.RuntimeService/<method> */
export const criServicePath = '/runtime.v1.RuntimeService/';

/** PodSandboxState (cri.proto) of a sandbox that is alive. */
export const sandboxReady = 0;
/** ContainerState (cri.proto) of a container whose process runs. */
export const containerRunning = 1;
/** NamespaceMode (cri.proto) of a sandbox that shares the node's namespace. */
export const namespaceOfNode = 2;

export type PodSandbox = runtime.v1.PodSandbox.$Properties;
export type SandboxStatus = runtime.v1.PodSandboxStatusResponse.$Properties;
export type RuntimeContainer = runtime.v1.Container.$Properties;
export type RuntimeVersion = runtime.v1.VersionResponse.$Properties;
