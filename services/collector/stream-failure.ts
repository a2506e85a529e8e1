import { status } from '@grpc/grpc-js';
import { type AppError, messageOf } from '../../core/app-error.ts';
import { printable } from '../../core/printable.ts';
import { collectorError } from './errors.ts';

/** The certificate that the collector shows. */
export interface OwnCertificate {
  /** Its subject alternative names. */
  readonly names: string;
  /** As OpenSSL writes a time. */
  readonly validTo: string;
  readonly issuer: string;
}

/** How the collector connects. */
export interface ConnectionFacts {
  readonly address: string;
  readonly tls: boolean;
  readonly own?: OwnCertificate | undefined;
}

type Code = Parameters<typeof collectorError>[0];

/** What texts of Node.js and OpenSSL mean for a connection with TLS. */
const tlsMeanings: readonly (readonly [RegExp, Code])[] = [
  [/wrong version number|packet length too long|EPROTO/i, 'COLLECTOR_GATEWAY_WITHOUT_TLS'],
  [/altnames|ALTNAME/, 'COLLECTOR_GATEWAY_OTHER_NAME'],
  [/certificate has expired|certificate is not yet valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/i, 'COLLECTOR_GATEWAY_EXPIRED'],
  [/self.signed|unable to (get|verify)|unsupported certificate|invalid (purpose|CA)|signature failure/i, 'COLLECTOR_GATEWAY_UNTRUSTED'],
  // Behind its handshake the gateway closes without a word.
  [/alert|Failed to connect|socket hang up|ECONNRESET|before secure TLS|Socket closed/i, 'COLLECTOR_CERTIFICATE_REFUSED'],
];

const maxCauseLength = 300;

/** What the failure of a stream means. Nothing is lost by any of them: records wait in the spool. */
export function streamFailure(thrown: unknown, { address, tls, own }: ConnectionFacts): AppError {
  const { code, details } = thrown as { readonly code?: unknown; readonly details?: unknown };
  const cause = causeOf(typeof details === 'string' && details !== '' ? details : messageOf(thrown));
  const failure = (row: Code, more: Record<string, string> = {}): AppError => collectorError(row, { address, cause, ...more }, thrown);
  if (code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED) return failure('COLLECTOR_STREAM_REFUSED');
  if (code === status.UNIMPLEMENTED) return failure('COLLECTOR_NOT_A_GATEWAY');
  if (code !== status.UNAVAILABLE) return failure('COLLECTOR_STREAM_BROKEN');
  if (/ECONNREFUSED|ENOENT|Name resolution|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/.test(cause)) return failure('COLLECTOR_GATEWAY_UNREACHABLE');
  // A stream that was open may break with the same words.
  if (!String(details).startsWith('No connection established')) return failure('COLLECTOR_STREAM_BROKEN');
  if (!tls) return failure(/Failed to connect/.test(cause) ? 'COLLECTOR_GATEWAY_WITH_TLS' : 'COLLECTOR_STREAM_BROKEN');
  const meant = tlsMeanings.find(([text]) => text.test(cause))?.[1] ?? 'COLLECTOR_STREAM_BROKEN';
  if (meant !== 'COLLECTOR_CERTIFICATE_REFUSED') return failure(meant);
  if (own !== undefined && Date.parse(own.validTo) <= Date.now()) return failure('COLLECTOR_CERTIFICATE_EXPIRED', { ...own });
  return failure(meant, { ...(own ?? { names: 'none', issuer: 'nobody', validTo: 'never' }) });
}

/** The part that says something, of what grpc-js and OpenSSL wrap around it. */
function causeOf(details: string): string {
  const inner = /Last error: (.*?)\.? Resolution note:/s.exec(details)?.[1] ?? details;
  const openssl = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(inner)?.[1];
  const plain = (openssl ?? inner).replace(/ \(\d{4}-\d\d-\d\dT[^)]*\)$/, '').replace(/^Error( \[\w+\])?: /, '');
  return printable(plain.trim()).slice(0, maxCauseLength);
}
