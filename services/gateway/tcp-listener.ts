import { constants } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { type Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { messageOf } from '../../core/app-error.ts';
import { type HostPort, hostPortText, isLoopback } from '../../core/host-port.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import { type ServerTlsConfig, TlsFiles, type TlsMaterial } from '../../core/tls.ts';
import { gatewayError } from './errors.ts';
import { countRefused, type GatewayMetrics } from './metrics.ts';

/** A TCP address for collectors. */
export interface TcpOptions extends HostPort {
  /** Undefined: plain text, and nobody is asked who he is. */
  readonly tls: ServerTlsConfig | undefined;
}

export interface TcpListener {
  /** Where it listens: with port 0 the one that was free. */
  readonly address: string;
  /** Takes no more connections; those that are in a handshake are cut. */
  close(): void;
}

interface TcpParts {
  readonly grpc: GrpcServer;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
}

/** Connections at the same time: a collector has one. */
const maxConnections = 20_000;
/** Time for a handshake. */
const handshakeMs = 10_000;
/** Files are looked at so often without a connection, too: what is wrong with renewed ones is told before it is needed. */
const lookMs = 10_000;

/**
 * Listens on TCP for a gRPC server. TLS ends here and not in grpc-js: renewed certificates serve the next connection,
 * streams that are open go on, and the reason of each refused handshake is known.
 */
export async function listenTcp(options: TcpOptions, parts: TcpParts): Promise<TcpListener> {
  const { host, port, tls } = options;
  const { grpc, log } = parts;
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const shaking = new Set<Socket>();
  const serve = (socket: Socket): void => {
    // Who goes away ends its stream, which tells.
    socket.on('error', () => undefined);
    injector.injectConnection(socket);
  };
  const followed = tls === undefined ? undefined : tlsServer(new TlsFiles(tls, log, 'gateway.tls'), serve, parts);
  const server = followed?.server ?? createServer(serve);
  server.maxConnections = maxConnections;
  server.prependListener('connection', (socket) => {
    followed?.renew();
    shaking.add(socket);
    socket.once('close', () => shaking.delete(socket));
  });
  const address = hostPortText({ host, port: await listening(server, { host, port }) });
  server.on('error', (error: NodeJS.ErrnoException) => {
    const fields = { code: 'GATEWAY_ACCEPT', remedy: 'Usually there are too few file descriptors: raise the limit (ulimit -n).' };
    parts.limiter.once('accept', (heldBack) => log.warn({ ...fields, heldBack }, `a connection was not accepted: ${error.message}`));
  });
  const looking = setInterval(() => followed?.renew(), lookMs).unref();
  if (tls === undefined) warnPlaintext(log, host, address);
  return {
    address,
    close() {
      clearInterval(looking);
      server.close();
      for (const socket of shaking) socket.destroy();
    },
  };
}

/** A TLS server that knows who connects, and takes up renewed files. */
function tlsServer(files: TlsFiles, serve: (socket: Socket) => void, parts: TcpParts): { readonly server: Server; renew(): void } {
  let material = files.current();
  const server = createTlsServer({
    ...contextOf(material),
    requestCert: true,
    // Checked below, where the address and the certificate that is refused are known.
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeMs,
  });
  server.on('secureConnection', (socket) => {
    const cause = refusalOf(socket);
    if (cause === undefined) serve(socket);
    else {
      tellRefused(parts, socket, cause);
      socket.destroy();
    }
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // Port scans and probes of load balancers go away in the middle.
    if (error.code !== 'ECONNRESET') tellRefused(parts, socket, error.code ?? messageOf(error));
  });
  return {
    server,
    renew() {
      const now = files.current();
      if (now === material) return;
      material = now;
      server.setSecureContext(contextOf(now));
    },
  };
}

/** Without tickets no session is resumed: each connection shows its certificate anew, and to the authorities of now. */
function contextOf({ ca, cert, key }: TlsMaterial) {
  return { ca, cert, key, minVersion: 'TLSv1.3' as const, secureOptions: constants.SSL_OP_NO_TICKET };
}

/** Why a connection is not served; undefined when it is. */
function refusalOf(socket: TLSSocket): string | undefined {
  const { raw, subject, issuer, valid_to: validTo } = socket.getPeerCertificate();
  if (raw === undefined) return 'it showed none';
  if (socket.authorized) return undefined;
  const names = `its certificate is for ${subject?.CN ?? 'no common name'}, by ${issuer?.CN ?? 'no common name'}, valid until ${validTo}`;
  return `${String(socket.authorizationError)} (${names})`.slice(0, 300);
}

function tellRefused({ metrics, limiter, log }: TcpParts, socket: Socket, cause: string): void {
  countRefused(metrics, 'certificate');
  const address = socket.remoteAddress ?? 'an unknown address';
  const error = gatewayError('GATEWAY_CERTIFICATE_REFUSED', { address, cause });
  limiter.once(`${error.code}/${address}`, (heldBack) => log.warn({ code: error.code, remedy: error.remedy, heldBack }, error.message));
}

function warnPlaintext(log: Log, host: string, address: string): void {
  const whoever = isLoopback(host) ? 'any program on this machine' : 'whoever reaches it';
  const fields = {
    code: 'GATEWAY_PLAINTEXT',
    remedy: 'Set gateway.tls: then a collector writes only as the node that its certificate names.',
  };
  log.warn(fields, `collectors are served on ${address} without TLS: ${whoever} can write as any node`);
}

/** Resolves with the port. */
function listening(server: Server, { host, port }: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (thrown: Error): void => {
      const details = { address: hostPortText({ host, port }), cause: messageOf(thrown) };
      reject(gatewayError('GATEWAY_LISTEN', details, thrown));
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve((server.address() as { readonly port: number }).port);
    });
  });
}
