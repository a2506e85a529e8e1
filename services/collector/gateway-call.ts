import type { ClientDuplexStream } from '@grpc/grpc-js';
import { collectStreamPath, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';
import type { GatewayTarget } from './gateway-target.ts';

/** One stream to the gateway. */
export interface GatewayCall {
  readonly stream: ClientDuplexStream<Buffer, GatewayBody>;
  /** Aborts when the stream has failed or ended, with the cause. */
  readonly broken: AbortSignal;
  /** Breaks the stream off and lets go of the connection. */
  close(): void;
}

/** Opens a stream. Nothing is sent yet. */
export function openGatewayCall(gateway: GatewayTarget): GatewayCall {
  const client = gateway.client();
  const stream = client.makeBidiStreamRequest<Buffer, GatewayBody>(
    collectStreamPath,
    (b) => b,
    (b) => GatewayMessage.decode(b),
  );
  const broken = new AbortController();
  stream.on('error', (error) => broken.abort(error));
  stream.on('end', () => broken.abort(new Error('the gateway ended the stream')));
  return {
    stream,
    broken: broken.signal,
    close() {
      broken.abort(new Error('done'));
      stream.cancel();
      client.close();
    },
  };
}

/** Resolves with the acked seq of the gateway's first answer; passes all later ones on. Rejects when the signal aborts. */
export function welcome(
  stream: ClientDuplexStream<Buffer, GatewayBody>,
  stop: AbortSignal,
  later: (body: GatewayBody) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) {
      reject(stop.reason);
      return;
    }
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
    stream.on('data', (body: GatewayBody) => {
      if (body.welcome) resolve(body.welcome.ackedSeq ?? 0);
      else later(body);
    });
  });
}

/** Resolves when the stream takes more, or the signal aborts. */
export function drained(stream: Pick<NodeJS.EventEmitter, 'on' | 'off'>, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stop.removeEventListener('abort', done);
      resolve();
    };
    if (stop.aborted) {
      resolve();
      return;
    }
    stream.on('drain', done);
    stop.addEventListener('abort', done);
  });
}
