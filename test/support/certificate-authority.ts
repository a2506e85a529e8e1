import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate and its key: PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: 'pipe' });
}

/** An authority that issues real certificates, with OpenSSL. */
export class CertificateAuthority {
  /** PEM file of its own certificate. */
  readonly file: string;
  readonly #dir: string;
  readonly #key: string;
  #issued = 0;

  /** @param own an authority that is there already */
  constructor(dir: string, name = 'authority', own?: CertificateFiles) {
    this.#dir = dir;
    this.file = own?.cert ?? join(dir, `${name}.pem`);
    this.#key = own?.key ?? join(dir, `${name}.key`);
    if (own !== undefined) return;
    openssl('req', '-x509', ...newKey, '-keyout', this.#key, '-out', this.file, '-subj', `/CN=${name}`, '-days', '30');
  }

  /** @param names 'DNS:node1,IP:127.0.0.1' @param days -1: it has expired */
  issue(names: string, days = 10): CertificateFiles {
    const base = join(this.#dir, `${this.file.split('/').at(-1)}-${++this.#issued}`);
    const [cert, key, request, extension] = ['pem', 'key', 'csr', 'ext'].map((end) => `${base}.${end}`);
    openssl('req', '-new', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${this.#issued}`);
    writeFileSync(extension, `subjectAltName=${names}\n`);
    const by = ['-CA', this.file, '-CAkey', this.#key, '-CAcreateserial'];
    openssl('x509', '-req', '-in', request, ...by, '-out', cert, '-extfile', extension, '-days', String(days));
    return { cert, key };
  }
}

/** Puts a file in the place of another one, as a renewal does: whole or not at all. */
export function replaceFile(from: string, to: string): void {
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
