import { Client, credentials } from '@grpc/grpc-js';
import { CollectorMessage, collectStreamPath, type GatewayBody, GatewayMessage } from '../proto/collect.ts';
import { syntheticStream } from './synthetic-records.ts';

// A collector for the gateway's bench, in a process of its own: argv: address, records, records a batch.
const [address = '', records = '', batchRecords = ''] = process.argv.slice(2);
const window = 32;
const client = new Client(address, credentials.createInsecure(), {
  'grpc.default_authority': 'localhost',
  'grpc.max_send_message_length': -1,
});
const call = client.makeBidiStreamRequest<Buffer, GatewayBody>(
  collectStreamPath,
  (bytes) => bytes,
  (bytes) => GatewayMessage.decode(bytes),
);
const messages = [...syntheticStream(Number(records), Number(batchRecords))];
let acked = 0;
let sent = 0;

function send(): void {
  while (sent < messages.length && sent - acked < window) call.write(Buffer.from(messages[sent++]));
  if (acked === messages.length) call.end();
}

call.on('data', ({ welcome, ack }: GatewayBody) => {
  acked = Math.max(acked, welcome?.ackedSeq ?? 0, ack?.seq ?? 0);
  send();
});
call.on('end', () => client.close());
call.write(Buffer.from(CollectorMessage.encode({ hello: { node: 'node1', session: Buffer.alloc(16, 1), schema: 1 } }).finish()));
