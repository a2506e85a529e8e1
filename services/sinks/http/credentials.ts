import { z } from 'zod';
import { errorTable, messageOf } from '../../../core/app-error.ts';
import { secret } from '../../../core/config/traits.ts';
import { Followed, FollowedFile } from '../../../core/followed-file.ts';
import type { Log } from '../../../core/log.ts';

/** What can be wrong with credentials. Their values are never told. */
const credentialsError = errorTable({
  CREDENTIALS_INVALID: {
    message: '{field}: {found}, expected {expected}',
    retryable: false,
    remedy: 'Write the secret alone into the file, as one line; `jitterscope config check` checks the rest.',
    exitCode: 78,
  },
});

const value = (description: string) => secret(z.string().min(1).optional().describe(description));
const file = (what: string) => z.string().min(1).optional().describe(`File with ${what}; read again when it changes.`);

/** The `credentials` section of a sink that speaks HTTP: one of API key, user name with password, bearer token. */
export const credentialsSchema = z
  .strictObject({
    apiKey: value('API key as the server shows it encoded: the Authorization header is `ApiKey <it>`.'),
    apiKeyFile: file('the API key'),
    username: z.string().min(1).optional().describe('User name, for basic authentication.'),
    password: value('Password of that user.'),
    passwordFile: file('the password'),
    bearerToken: value('Token: the Authorization header is `Bearer <it>`.'),
    bearerTokenFile: file('the token'),
  })
  .superRefine((section, context) => {
    const refuse = (path: keyof CredentialsConfig, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    for (const name of ['apiKey', 'password', 'bearerToken'] as const) {
      if (section[name] !== undefined && section[`${name}File`] !== undefined)
        refuse(`${name}File`, `found it beside ${name}, expected one of the two`);
    }
    const user = section.username !== undefined;
    const password = section.password !== undefined || section.passwordFile !== undefined;
    if (user && !password) refuse('password', 'found nothing, expected password or passwordFile beside username');
    if (password && !user) refuse('username', 'found nothing, expected the user name that the password is for');
    const kinds = [section.apiKey ?? section.apiKeyFile, section.username, section.bearerToken ?? section.bearerTokenFile];
    if (kinds.filter((kind) => kind !== undefined).length > 1)
      refuse('username', 'found several kinds of credentials, expected one of apiKey, username with password, bearerToken');
  });

export type CredentialsConfig = z.output<typeof credentialsSchema>;

const minSecretLength = 4;
/** A file is looked at every 5 s: those of 80 s, which is longer than a request takes. */
const maxKnownHeaders = 16;

/** What a request is sent with, so that the server knows who sends it. */
export class Credentials {
  readonly #config: CredentialsConfig;
  readonly #file: FollowedFile | undefined;
  readonly #field: string;
  readonly #header: Followed<string | undefined>;
  /** What was sent, the newest first: a request that was under way when the file changed is answered after that. */
  #headers: readonly string[] = [];
  /** What must not be told of these headers, the longest first. */
  #secrets: readonly string[] = [];

  constructor(config: CredentialsConfig, log: Log) {
    this.#config = config;
    const named = (['apiKeyFile', 'passwordFile', 'bearerTokenFile'] as const).find((name) => config[name] !== undefined);
    this.#field = `credentials.${named ?? 'value'}`;
    this.#file = named === undefined ? undefined : new FollowedFile(this.#field, config[named] ?? '');
    const what = `${this.#field} changed and cannot be used; the secret before stays`;
    this.#header = new Followed(this.#file === undefined ? [] : [this.#file], {
      make: () => {
        const header = this.#make();
        if (header !== undefined) this.#hide(header);
        return header;
      },
      refused: (cause) => log.error({ code: 'CREDENTIALS_NOT_RENEWED' }, `${what}: ${messageOf(cause)}`),
    });
  }

  /** A text of the server without what it was sent to prove who asks: careless proxies repeat it in their errors. */
  hidden(text: string): string {
    let shown = text;
    for (const secret of this.#secrets) shown = shown.replaceAll(secret, '…');
    return shown;
  }

  /**
   * Value of the Authorization header; undefined without credentials. Throws FILE_* or CREDENTIALS_INVALID as long as
   * there was never a good one; later, a file that is wrong (half written) changes nothing, with one line in the log.
   */
  authorization(): string | undefined {
    return this.#header.current();
  }

  #hide(header: string): void {
    this.#headers = [...new Set([header, ...this.#headers])].slice(0, maxKnownHeaders);
    this.#secrets = [...new Set(this.#headers.flatMap(secretsOf))].sort((a, b) => b.length - a.length);
  }

  #make(): string | undefined {
    const { apiKey, apiKeyFile, username, password, bearerToken, bearerTokenFile } = this.#config;
    const text = (written: string | undefined): string => written ?? this.#file?.readSecret() ?? '';
    if (username !== undefined) return `Basic ${Buffer.from(`${username}:${text(password)}`).toString('base64')}`;
    if (apiKey !== undefined || apiKeyFile !== undefined) return `ApiKey ${this.#inHeader(text(apiKey))}`;
    if (bearerToken !== undefined || bearerTokenFile !== undefined) return `Bearer ${this.#inHeader(text(bearerToken))}`;
    return undefined;
  }

  /** A header is one line of printable ASCII (RFC 9110, 5.5). */
  #inHeader(found: string): string {
    if (/^[\x21-\x7e]+$/.test(found)) return found;
    const details = { field: this.#field, found: 'blanks, line ends or other bytes that a header cannot hold' };
    throw credentialsError('CREDENTIALS_INVALID', { ...details, expected: 'one word of printable ASCII' });
  }
}

/** The header's word; of a user the password, too, and of an API key its two parts, where it is encoded as Elasticsearch does. */
function secretsOf(header: string): string[] {
  const [scheme = '', word = ''] = header.split(' ');
  const decoded = scheme === 'Bearer' ? '' : Buffer.from(word, 'base64').toString('utf8');
  const secrets = [word, decoded, decoded.slice(decoded.indexOf(':') + 1)];
  // What is shorter hides nothing, and would cut words to pieces.
  return secrets.filter((secret) => secret.length >= minSecretLength);
}
