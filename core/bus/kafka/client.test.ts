import { createServer, type Server, type Socket } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { until } from '../contract.ts';
import { KafkaClient } from './client.ts';
import { kafkaSchema } from './config.ts';

const sockets = new Set<Socket>();
let server: Server | undefined;

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server?.close();
});

/** A broker that takes connections, and answers nothing. */
async function silentBroker(): Promise<KafkaClient> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.resume().on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const config = kafkaSchema.parse({ brokers: [`127.0.0.1:${port}`] });
  return new KafkaClient({ config, log: pino({ level: 'silent' }) });
}

test('a client that is closed lets go of connections that are being made, and makes no more', async () => {
  const client = await silentBroker();
  const asking = client.leaders().catch((thrown: unknown) => thrown);
  await until(() => sockets.size === 1);
  client.close();
  expect(await asking).toMatchObject({ code: 'BUS_CLOSED' });
  await expect(client.leaders()).rejects.toMatchObject({ code: 'BUS_CLOSED' });
  await expect(client.metadataOf(['raw'])).rejects.toMatchObject({ code: 'BUS_CLOSED' });
  await until(() => sockets.size === 0);
});

test('what is asked in the background is no problem of whoever works; what somebody waits for is', async () => {
  const client = await silentBroker();
  server?.close();
  await expect(client.leaders()).rejects.toMatchObject({ code: 'KAFKA_UNREACHABLE' });
  const background = client.backgroundCoordinatorLink('group');
  await expect(background.ask('a position', async () => undefined)).rejects.toMatchObject({ code: 'KAFKA_UNREACHABLE' });
  expect(client.problem).toBeUndefined();
  await expect(client.coordinatorLink('group').ask('a position', async () => undefined)).rejects.toMatchObject({
    code: 'KAFKA_UNREACHABLE',
  });
  expect(client.problem).toMatchObject({ code: 'KAFKA_UNREACHABLE' });
  client.close();
});
