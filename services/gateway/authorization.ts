import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { AppError } from '../../core/app-error.ts';
import { printable } from '../../core/printable.ts';
import type { GatewayBody, Hello } from '../../proto/collect.ts';
import { gatewayError } from './errors.ts';

/** Who is at the other end, as its certificate says. */
export interface Peer {
  /** Whether the certificate is that of this node: one of its subject alternative names is the name, to the byte. */
  isNode(name: string): boolean;
  /** Its subject alternative names, for people; cut where they are many. */
  readonly names: string;
  /** When the certificate expires. */
  readonly notAfterMs: number;
}

/** Why a stream is not served. */
export interface Refusal {
  readonly status: status;
  /** Label of the metric. */
  readonly reason: 'node' | 'replay' | 'certificate';
  readonly error: AppError;
}

/** What the gateway asks of a stream. */
export interface Admission {
  /** The listener asks for certificates. */
  readonly certified: boolean;
  /** The gateway is one for captures: it writes no ticks. */
  readonly replays: boolean;
}

const maxNamesLength = 200;

/** The other end of a call; undefined where it showed no certificate that the listener's authorities vouch for. */
export function peerOf(call: Pick<ServerDuplexStream<Buffer, GatewayBody>, 'getAuthContext'>): Peer | undefined {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  return raw === undefined ? undefined : peerOfCertificate(new X509Certificate(raw));
}

/** Wildcards name no node, and the common name is not looked at (RFC 9525, 2 and 6.3). */
export function peerOfCertificate(certificate: X509Certificate): Peer {
  const names = certificate.subjectAltName ?? 'no name';
  return {
    isNode(name) {
      // OpenSSL would throw on the one, and find the other equal to a wildcard as it is written.
      if (name.includes('\0') || name.includes('*')) return false;
      if (isIP(name) !== 0) return certificate.checkIP(name) === name;
      // The name as the certificate has it: what OpenSSL finds equal without case, or within a domain, is another node.
      return certificate.checkHost(name, { subject: 'never', wildcards: false }) === name;
    },
    names: names.length > maxNamesLength ? `${names.slice(0, maxNamesLength)} ...` : names,
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** Whether a stream may write what its Hello says; undefined: it may. */
export function refusalOf(hello: Pick<Hello, 'node' | 'replay'>, peer: Peer | undefined, admission: Admission): Refusal | undefined {
  if (hello.replay === true && !admission.replays)
    return { status: status.PERMISSION_DENIED, reason: 'replay', error: gatewayError('GATEWAY_REPLAY_REFUSED') };
  if (!admission.certified) return undefined;
  if (peer === undefined)
    return { status: status.UNAUTHENTICATED, reason: 'certificate', error: gatewayError('GATEWAY_CERTIFICATE_MISSING') };
  const node = hello.node ?? '';
  if (peer.isNode(node)) return undefined;
  const error = gatewayError('GATEWAY_NODE_REFUSED', { node: printable(node), names: printable(peer.names) });
  return { status: status.PERMISSION_DENIED, reason: 'node', error };
}
