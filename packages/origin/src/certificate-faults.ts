/**
 * What is wrong with a server's certificate, as a set. The TLS library reports one fault, the last
 * it came upon, which hides those before it: an expired certificate of an unknown authority is
 * reported as expired only. Whoever tolerates one fault must know the others, so they are looked
 * for here. In doubt there is a fault.
 *
 * Knows certificates; knows no jobs. Called by `dial.ts` for connections that tolerate something.
 */
import type { X509Certificate } from "node:crypto";
import { checkServerIdentity } from "node:tls";
import type { TLSSocket } from "node:tls";
import type { TlsTolerance } from "./job-credentials.ts";

/** `other`: nothing that can be tolerated, such as a wrong signature. */
export type CertificateFault = TlsTolerance | "other";

const FAULTS: Readonly<Record<string, CertificateFault>> = {
  CERT_UNTRUSTED: "unknownAuthority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "unknownAuthority",
  SELF_SIGNED_CERT_IN_CHAIN: "unknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT: "unknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknownAuthority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknownAuthority",
  CERT_HAS_EXPIRED: "wrongDate",
  CERT_NOT_YET_VALID: "wrongDate",
  INVALID_PURPOSE: "wrongUsage",
  ERR_TLS_CERT_ALTNAME_INVALID: "wrongName",
};
/** Certificates of one chain that are looked at. */
const CHAIN_LENGTH_MAX = 16;
/** id-kp-serverAuth (RFC 5280). */
const SERVER_USAGE = "1.3.6.1.5.5.7.3.1";
/** DER of id-ce-nameConstraints (RFC 5280). */
const NAME_CONSTRAINTS = Buffer.from("0603551d1e", "hex");
/** What OpenSSL asks at its security level 2. */
const RSA_BITS_MIN = 2_048;
const STRONG_SIGNATURE = /sha(?:256|384|512)|^ed(?:25519|448)$/i;

/**
 * The faults of the certificate shown on `socket`, whose handshake is done, to a caller that wanted
 * `host`. `anchors` gives the certificates of trusted authorities.
 */
export function certificateFaults(
  socket: TLSSocket,
  host: string,
  anchors: () => readonly X509Certificate[],
): readonly CertificateFault[] {
  if (socket.authorized) return [];
  const leaf = socket.getPeerX509Certificate();
  const reported = FAULTS[String(socket.authorizationError)] ?? "other";
  try {
    return leaf === undefined ? ["other"] : [...faultsOf(leaf, reported, { host, anchors })];
  } catch {
    // The server chose these bytes: names and keys that cannot be read throw.
    return ["other"];
  }
}

function faultsOf(
  leaf: X509Certificate,
  reported: CertificateFault,
  { host, anchors }: { host: string; anchors: () => readonly X509Certificate[] },
): ReadonlySet<CertificateFault> {
  const faults = new Set([reported]);
  if (checkServerIdentity(host, leaf.toLegacyObject()) !== undefined) faults.add("wrongName");
  const now = Date.now();
  if (!(leaf.validFromDate.getTime() <= now && now <= leaf.validToDate.getTime())) {
    faults.add("wrongDate");
  }
  if (!mayServe(leaf)) faults.add("wrongUsage");
  // A name is only looked at when nothing else is wrong.
  const isHiding = reported === "wrongDate" || reported === "wrongUsage";
  if (isHiding && !isVouched(leaf, anchors())) faults.add("unknownAuthority");
  return faults;
}

/**
 * Whether an anchor has signed the certificate, or an authority that it has signed. Not a whole
 * path validation: longer paths, and authorities with name constraints, count as unknown rather
 * than have their constraints checked here.
 */
function isVouched(leaf: X509Certificate, anchors: readonly X509Certificate[]): boolean {
  const isAnchored = (cert: X509Certificate): boolean =>
    anchors.some((anchor) => isIssuedBy(cert, anchor));
  return (
    isAnchored(leaf) ||
    chainAbove(leaf).some((issuer) => {
      const isAuthority = issuer.ca && mayServe(issuer) && !issuer.raw.includes(NAME_CONSTRAINTS);
      return isAuthority && isIssuedBy(leaf, issuer) && isAnchored(issuer);
    })
  );
}

/** Certificates the server sent beside its own, in its order. */
function chainAbove(leaf: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = leaf.issuerCertificate;
  while (next !== undefined && chain.length < CHAIN_LENGTH_MAX) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

function isIssuedBy(cert: X509Certificate, issuer: X509Certificate): boolean {
  if (!cert.checkIssued(issuer) || !STRONG_SIGNATURE.test(cert.signatureAlgorithm ?? "")) {
    return false;
  }
  const { publicKey } = issuer;
  const rsaBits = publicKey.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN;
  return rsaBits >= RSA_BITS_MIN && cert.verify(publicKey);
}

/** Whether the extended key usage, if there is one, names TLS servers. */
function mayServe({ keyUsage }: X509Certificate): boolean {
  const usages: readonly string[] | undefined = keyUsage;
  return usages === undefined || usages.includes(SERVER_USAGE);
}
