import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, Client, credentials } from '@grpc/grpc-js';
import type { AppError } from '../../core/app-error.ts';
import { type HostPort, hostPortText, parseHostPort } from '../../core/host-port.ts';
import type { Log } from '../../core/log.ts';
import { TlsFiles, type TlsMaterial } from '../../core/tls.ts';
import type { GatewayAddress } from './config.ts';
import { type OwnCertificate, streamFailure } from './stream-failure.ts';

/** A gateway, and how to connect to it. */
export interface GatewayTarget {
  /** For people. */
  readonly address: string;
  /** A client with what the files say now. Throws what is wrong with them only the first time it is asked. */
  client(): Client;
  /** What a failed stream to it means, and what to do about it. */
  explain(thrown: unknown): AppError;
}

const common: ChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_send_message_length': -1,
  // A proxy of the environment is one for HTTP to the outside.
  'grpc.enable_http_proxy': 0,
};

/** The gateway on a Unix socket of this machine. @param address unix:<path> */
export function socketTarget(address: string): GatewayTarget {
  return {
    address,
    client: () => new Client(address, credentials.createInsecure(), { ...common, 'grpc.default_authority': 'localhost' }),
    explain: (thrown) => streamFailure(thrown, { address, tls: false }),
  };
}

/** The gateway that is configured; undefined: that of this machine. Throws TLS_* and FILE_UNREADABLE. */
export function configuredTarget({ address, tls }: GatewayAddress, log: Log): GatewayTarget | undefined {
  const found = parseHostPort(address ?? '');
  if (found === undefined) return undefined;
  return tls === undefined ? plainTarget(found) : new TlsTarget(found, new TlsFiles(tls, log, 'collector.gateway.tls'));
}

function plainTarget(found: HostPort): GatewayTarget {
  const address = hostPortText(found);
  return {
    address,
    client: () => new Client(address, credentials.createInsecure(), common),
    explain: (thrown) => streamFailure(thrown, { address, tls: false }),
  };
}

class TlsTarget implements GatewayTarget {
  readonly address: string;
  readonly #host: string;
  readonly #files: TlsFiles;
  #material: TlsMaterial;
  #credentials: ChannelCredentials;

  constructor(found: HostPort, files: TlsFiles) {
    this.address = hostPortText(found);
    this.#host = found.host;
    this.#files = files;
    this.#material = files.current();
    this.#credentials = this.#credentialsOf(this.#material);
  }

  client(): Client {
    const now = this.#files.current();
    if (now !== this.#material) {
      this.#material = now;
      this.#credentials = this.#credentialsOf(now);
    }
    // RFC 6066, 3: no address may be asked for by name. What is checked is the address.
    const name = now.servername ?? (isIP(this.#host) === 0 ? this.#host : 'gateway');
    return new Client(this.address, this.#credentials, { ...common, 'grpc.ssl_target_name_override': name });
  }

  explain(thrown: unknown): AppError {
    return streamFailure(thrown, { address: this.address, tls: true, own: ownCertificate(this.#material) });
  }

  /** Streams share a connection for as long as these are the same object. */
  #credentialsOf({ ca, cert, key, servername }: TlsMaterial): ChannelCredentials {
    const context = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
    const expected = servername ?? this.#host;
    return credentials.createFromSecureContext(context, {
      checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(expected, certificate),
    });
  }
}

function ownCertificate({ cert }: TlsMaterial): OwnCertificate | undefined {
  if (cert === undefined) return undefined;
  const { subjectAltName = 'no name', validTo, issuer } = new X509Certificate(cert);
  return { names: subjectAltName.slice(0, 200), validTo, issuer: issuer.replaceAll('\n', ', ').slice(0, 200) };
}
