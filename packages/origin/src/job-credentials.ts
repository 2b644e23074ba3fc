/**
 * What a job shows of its own to an origin, and to which: header fields and a client certificate go
 * to the origin of the first URL only (R-HTTP-05). Fields are checked once more before they are
 * sent, whatever core has checked: none may frame a message or stand for one of ours.
 *
 * Knows the job's options. Knows neither redirects nor sockets, and puts none of the values into a
 * message (R-LOG-01, R-API-13). Created by `origin.ts`, asked by `request.ts` before every hop.
 */
import { createSecureContext } from "node:tls";
import type { SecureContextOptions } from "node:tls";
import { sha256Hex } from "@shoal/core";
import type { OriginCommand } from "@shoal/core";

export type OriginRequestOptions = NonNullable<
  Extract<OriginCommand, { type: "probeOrigin" }>["request"]
>;
export type HeaderField = NonNullable<OriginRequestOptions["headers"]>[number];
export type TlsTolerance = NonNullable<OriginRequestOptions["tlsTolerance"]>[number];
/** A certificate and its key. */
export type ClientCertificate = Pick<SecureContextOptions, "cert" | "key" | "pfx">;

/** How TLS is done for a job. */
export interface TlsTerms {
  /** What the server's certificate may lack. */
  readonly tolerance: readonly TlsTolerance[];
  readonly certificate?: ClientCertificate;
}

/** What one request shows. */
export interface Showing {
  readonly fields: readonly HeaderField[];
  readonly tls: TlsTerms;
  /** A digest of all of it; "" when nothing is shown. Only equal ones share a connection. */
  readonly key: string;
}

/** RFC 9110, sections 5.6.2 and 5.5: nothing that ends a line, nothing beyond Latin-1. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const RESERVED = new RegExp(
  "^(?:accept-encoding|connection|content-(?:length|type)|expect|host|keep-alive|range|te|trailer" +
    "|if-(?:match|modified-since|none-match|range|unmodified-since)" +
    "|proxy-.*|transfer-encoding|upgrade)$",
  "i",
);

export class JobCredentials {
  readonly #headers: readonly HeaderField[];
  readonly #challengeHeaders: readonly HeaderField[];
  readonly #tolerance: readonly TlsTolerance[];
  readonly #certificate: ClientCertificate | undefined;
  readonly #certificateText: string;
  /** Whether redirects from https: to http: are followed. */
  readonly allowsInsecureRedirect: boolean;

  private constructor(options: OriginRequestOptions, certificate: ClientCertificate | undefined) {
    this.#headers = (options.headers ?? []).filter(isSendable);
    this.#challengeHeaders = (options.challengeHeaders ?? []).filter(isSendable);
    this.#tolerance = (options.tlsTolerance ?? []).toSorted();
    this.#certificate = certificate;
    this.#certificateText = options.clientCertificate ?? "";
    this.allowsInsecureRedirect = options.allowInsecureRedirect ?? false;
  }

  /** `undefined` when the client certificate is none, or has no usable key. */
  static of(options: OriginRequestOptions = {}): JobCredentials | undefined {
    const { clientCertificate } = options;
    if (clientCertificate === undefined) return new JobCredentials(options, undefined);
    const certificate = parseCertificate(clientCertificate);
    return certificate && new JobCredentials(options, certificate);
  }

  /** Whether there is something more to say after 401 or 407. */
  get hasChallengeAnswer(): boolean {
    return this.#challengeHeaders.length > 0;
  }

  /** `isHome`: no redirect has led away from the first URL's origin. */
  show({ isHome, isChallenged }: { isHome: boolean; isChallenged: boolean }): Showing {
    const tolerance = this.#tolerance;
    const answers = isHome && isChallenged ? this.#challengeHeaders : [];
    const answered = new Set(answers.map(([name]) => name.toLowerCase()));
    const others = isHome ? this.#headers : [];
    const fields = [...others.filter(([name]) => !answered.has(name.toLowerCase())), ...answers];
    const certificate = isHome ? this.#certificate : undefined;
    const tls = { tolerance, ...(certificate && { certificate }) };
    const shown = [fields, tolerance, certificate === undefined ? "" : this.#certificateText];
    const isNothing = shown.every(({ length }) => length === 0);
    const key = isNothing ? "" : sha256Hex(Buffer.from(JSON.stringify(shown)));
    return { fields, tls, key };
  }
}

function isSendable([name, value]: HeaderField): boolean {
  return TOKEN.test(name) && VALUE.test(value) && !RESERVED.test(name);
}

/** The TLS library must take it: a certificate that cannot be read, or whose key does not fit, is none. */
function parseCertificate(text: string): ClientCertificate | undefined {
  const certificate = text.includes("-----BEGIN")
    ? { cert: text, key: text }
    : { pfx: Buffer.from(text, "base64") };
  try {
    createSecureContext(certificate);
    return certificate;
  } catch {
    return undefined;
  }
}
