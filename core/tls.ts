import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import { errorTable, messageOf } from './app-error.ts';
import { Followed, FollowedFile } from './followed-file.ts';
import type { Log } from './log.ts';

/** What can be wrong with the files of a `tls` section. */
const tlsError = errorTable({
  TLS_FILE_INVALID: {
    message: '{field} {file}: {found}, expected {expected}',
    retryable: false,
    remedy: 'Write the file anew: PEM, as `openssl x509 -in FILE -noout -text` (a key: `openssl pkey`) reads it.',
    exitCode: 78,
  },
  TLS_KEY_OTHER: {
    message: 'the key {key} is not that of the certificate {cert}',
    retryable: false,
    remedy: 'Name the key that the certificate was made with; it may be that only one of the two files was renewed.',
    exitCode: 78,
  },
});

const file = z.string().min(1);

/** The `tls` section of a client. Files are read again when they change: certificates are renewed while the process runs. */
export const tlsSchema = z
  .strictObject({
    ca: file.optional().describe("PEM file: the authorities that the server's certificate is checked against. Default: those of Node.js."),
    cert: file
      .optional()
      .describe("PEM file: the client's certificate, for servers that ask for one; with those between it and its authority."),
    key: file.optional().describe('PEM file: the key of that certificate, without a passphrase.'),
    serverName: z
      .string()
      .min(1)
      .optional()
      .describe("Name that the server's certificate must have. Default: the host that is connected to."),
  })
  .superRefine(({ cert, key }, context) => {
    if ((cert === undefined) === (key === undefined)) return;
    const missing = cert === undefined ? 'cert' : 'key';
    context.addIssue({ code: 'custom', path: [missing], message: 'found nothing, expected a file: cert and key go together' });
  });

export type TlsConfig = z.output<typeof tlsSchema>;

/** The `tls` section of a server that asks for certificates. Files are read again when they change. */
export const serverTlsSchema = z.strictObject({
  ca: file.describe('PEM file: the authorities that certificates of clients are checked against.'),
  cert: file.describe("PEM file: the server's certificate, with those between it and its authority."),
  key: file.describe('PEM file: the key of that certificate, without a passphrase.'),
});

export type ServerTlsConfig = z.output<typeof serverTlsSchema>;

/** What a connection is made with: options of tls.connect(). Whoever connects with it checks the server's certificate. */
export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
}

/** Until when the certificates of a file are valid. */
export interface CertificateExpiry {
  /** The setting that names it: `gateway.tls`. */
  readonly use: string;
  readonly file: 'ca' | 'cert';
  /** Of the one that ends first, Unix time in ms; ca: of those that are still valid, if any is. */
  readonly notAfterMs: number;
}

/** Ends of the certificates in a file, Unix time in ms, ascending: at least one. */
type Ends = readonly number[];

/** What the files held when they were read. */
interface Loaded {
  readonly material: TlsMaterial;
  readonly ends: Readonly<Partial<Record<CertificateExpiry['file'], Ends>>>;
}

/** Those of this process, by the setting that names them. */
const inUse = new Map<string, TlsFiles>();

/** Until when the certificates are valid that this process uses, and checks others against; renewed files are looked at first. */
export function certificateExpiries(): CertificateExpiry[] {
  return [...inUse.values()].flatMap((files) => files.expiries());
}

/** The files of a `tls` section, as they are now. */
export class TlsFiles {
  readonly #config: TlsConfig;
  readonly #section: string;
  readonly #files: Readonly<Partial<Record<'ca' | 'cert' | 'key', FollowedFile>>>;
  readonly #loaded: Followed<Loaded>;

  /** @param section The setting that names the files. */
  constructor(config: TlsConfig, log: Log, section: string) {
    const { ca, cert, key } = config;
    this.#config = config;
    this.#section = section;
    this.#files = {
      ...(ca !== undefined && { ca: new FollowedFile(`${section}.ca`, ca) }),
      ...(cert !== undefined && { cert: new FollowedFile(`${section}.cert`, cert) }),
      ...(key !== undefined && { key: new FollowedFile(`${section}.key`, key) }),
    };
    this.#loaded = new Followed(Object.values(this.#files), {
      make: () => this.#load(),
      renewed: () => log.info({ files: Object.keys(this.#files) }, 'TLS files were read again'),
      refused: (cause) =>
        log.error({ code: 'TLS_NOT_RENEWED' }, `TLS files changed and cannot be used; those before stay: ${messageOf(cause)}`),
    });
    inUse.set(section, this);
  }

  /** Of what the next connection would be made with; nothing while files that were never right are not. */
  expiries(): CertificateExpiry[] {
    let loaded: Loaded;
    try {
      loaded = this.#loaded.current();
    } catch {
      return [];
    }
    const { ca, cert } = loaded.ends;
    // A bundle may hold authorities that ended long ago, and nobody uses.
    const authority = ca?.find((end) => end > Date.now()) ?? ca?.at(-1);
    return [
      ...(authority === undefined ? [] : [{ use: this.#section, file: 'ca' as const, notAfterMs: authority }]),
      ...(cert === undefined ? [] : [{ use: this.#section, file: 'cert' as const, notAfterMs: cert[0] }]),
    ];
  }

  /**
   * What the next connection is to be made with: the same object as long as the files are the same. Throws TLS_* or
   * FILE_UNREADABLE the first time; later, files that are wrong (half renewed) change nothing, with one line in the log.
   */
  current(): TlsMaterial {
    return this.#loaded.current().material;
  }

  #load(): Loaded {
    const [ca, cert, key] = (['ca', 'cert', 'key'] as const).map((name) => this.#files[name]?.read());
    const { serverName } = this.#config;
    const names = { cert: this.#config.cert ?? '', key: this.#config.key ?? '' };
    const caEnds = ca && endsOf(`${this.#section}.ca`, this.#config.ca ?? '', ca);
    const certEnds = cert && endsOf(`${this.#section}.cert`, names.cert, cert);
    if (cert !== undefined && key !== undefined) checkKey(`${this.#section}.key`, names, cert, key);
    const material = {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(serverName !== undefined && { servername: serverName }),
    };
    return { material, ends: { ...(caEnds && { ca: caEnds }), ...(certEnds && { cert: certEnds }) } };
  }
}

/** All certificates of a file (RFC 7468 and the labels that OpenSSL takes beside), whole or cut off. */
const certificateBlock = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*(?:-----END [A-Z0-9 ]+-----)?/g;

/** When the certificates of a file end. Throws TLS_FILE_INVALID: OpenSSL would leave out what is behind one that it cannot read. */
function endsOf(field: string, path: string, pem: Buffer): Ends {
  const blocks = pem.toString('latin1').match(certificateBlock) ?? [];
  let at = 0;
  try {
    if (blocks.length === 0) throw new Error('no certificate');
    const certificates = blocks.map((block) => {
      at++;
      return new X509Certificate(block);
    });
    createSecureContext({ ca: pem });
    return certificates.map(({ validTo }) => Date.parse(validTo)).sort((a, b) => a - b);
  } catch (thrown) {
    const found = blocks.length > 1 ? `${messageOf(thrown)} in certificate ${at} of ${blocks.length}` : messageOf(thrown);
    throw tlsError('TLS_FILE_INVALID', { field, file: path, found, expected: 'certificates in PEM' }, thrown);
  }
}

/** The text of a failure of OpenSSL does not tell the key. */
function checkKey(field: string, { cert, key }: { readonly cert: string; readonly key: string }, certificate: Buffer, pem: Buffer): void {
  let own: boolean;
  try {
    own = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(pem));
  } catch (thrown) {
    const details = { field, file: key, found: messageOf(thrown), expected: 'a private key in PEM without a passphrase' };
    throw tlsError('TLS_FILE_INVALID', details, thrown);
  }
  if (!own) throw tlsError('TLS_KEY_OTHER', { cert, key });
}
