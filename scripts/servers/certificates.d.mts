/** Paths of what certifies one party: PEM files; `bundle` holds key, certificate and authority. */
export interface CertificateFiles {
  readonly key: string;
  readonly cert: string;
  readonly bundle: string;
}

/** Paths of an authority and of one server and one client that it certifies. */
export interface Certificates {
  readonly ca: string;
  readonly server: CertificateFiles;
  readonly client: CertificateFiles;
}

export function writeCertificates(folder: string): Promise<Certificates>;
