import { jitterscope } from './gen/collect.js';

/** Short names for the messages between collector and gateway (collect.proto). */
export const { CollectorMessage, GatewayMessage } = jitterscope.collect.v1;

/** Path of the service's one method, jitterscope.collect.v1.Collect/Stream (collect.proto). */
export const collectStreamPath = '/jitterscope.collect.v1.Collect/Stream';

/** A decoded CollectorMessage. */
export type CollectorMessage = jitterscope.collect.v1.CollectorMessage;
export type CollectorBody = jitterscope.collect.v1.CollectorMessage.$Properties;
export type GatewayBody = jitterscope.collect.v1.GatewayMessage.$Properties;
export type Hello = jitterscope.collect.v1.Hello.$Properties;
export type RecordBatch = jitterscope.collect.v1.RecordBatch.$Properties;
export type Identity = jitterscope.collect.v1.Identity.$Properties;
export type NetworkNamespace = jitterscope.collect.v1.NetworkNamespace.$Properties;
export type Keyframe = jitterscope.collect.v1.Keyframe.$Properties;
export type Heartbeat = jitterscope.collect.v1.Heartbeat.$Properties;
export type ProbeGap = jitterscope.collect.v1.ProbeGap.$Properties;
export type EnumNames = jitterscope.collect.v1.EnumNames.$Properties;
export type CounterSample = jitterscope.collect.v1.CounterSample.$Properties;
export type KernelLoss = jitterscope.collect.v1.KernelLoss.$Properties;
export type SkippedItems = jitterscope.collect.v1.SkippedItems.$Properties;
export type TimeOffset = jitterscope.collect.v1.TimeOffset.$Properties;
export type AddressInterval = jitterscope.collect.v1.AddressInterval.$Properties;
export type Container = jitterscope.collect.v1.Container.$Properties;
export type Pod = jitterscope.collect.v1.Pod.$Properties;
export type Translation = jitterscope.collect.v1.Translation.$Properties;
export type KernelSymbol = jitterscope.collect.v1.KernelSymbol.$Properties;
export type KernelStack = jitterscope.collect.v1.KernelStack.$Properties;
export type Samples = jitterscope.collect.v1.Samples.$Properties;
export type SampleLayout = jitterscope.collect.v1.SampleLayout.$Properties;
export type TargetSamples = jitterscope.collect.v1.TargetSamples.$Properties;
