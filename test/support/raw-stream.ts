import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { CollectorMessage, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';

/** A stream to a gateway on which anything can be sent, as bytes. */
export class RawStream {
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, GatewayBody>;
  /** Highest acked seq. */
  acked = 0;
  /** Why the gateway ended the stream; undefined while it is open. */
  ended: string | undefined;
  welcomed = false;

  /** @param address gRPC target */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.max_send_message_length': -1,
    });
    this.#call = this.#client.makeBidiStreamRequest<Buffer, GatewayBody>(
      '/jitterscope.collect.v1.Collect/Stream',
      (bytes) => bytes,
      (bytes) => GatewayMessage.decode(bytes),
    );
    this.#call.on('data', (body: GatewayBody) => {
      this.welcomed ||= Boolean(body.welcome);
      this.acked = Math.max(this.acked, body.ack?.seq ?? 0);
    });
    this.#call.on('error', (error) => {
      this.ended = error.message;
    });
    this.#call.on('end', () => {
      this.ended ??= 'ended';
    });
  }

  hello(node: string, session: Uint8Array): void {
    this.send(CollectorMessage.encode({ hello: { node, session, version: 'test', replay: false, schema: 1 } }).finish());
  }

  send(bytes: Uint8Array): void {
    if (this.ended === undefined) this.#call.write(Buffer.from(bytes));
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
