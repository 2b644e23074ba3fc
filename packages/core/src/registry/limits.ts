/**
 * Hard bounds. Configuration does not raise these; the rule that gives each number is named beside
 * it. Relations between bounds are asserted at the end, at load time.
 */
import { assert } from "../assert.ts";
import { KiB, MiB } from "../units.ts";

export const LIMITS = {
  /** R-MAN-09 */
  manifestBytesMax: 16 * MiB,
  /** R-MAN-10 */
  pieceLengthMin: 64 * KiB,
  /** R-MAN-10 */
  pieceLengthMax: 16 * MiB,
  /** R-MAN-10 */
  piecesPerManifestMax: 131_072,
  /** R-MAN-10 */
  filesPerManifestMax: 1_000,
  /** R-MAN-10 */
  contentLengthMax: 2 ** 40,
  /** R-FS-03: one path component of a manifest's file name, in UTF-8 bytes. */
  fileNameBytesMax: 255,
  /** R-FS-03: a whole destination path, in UTF-8 bytes. */
  pathBytesMax: 4_095,
  /** R-API-09 gives 8 KiB for any string; a URL is one. */
  urlLengthMax: 8 * KiB,
  /** R-API-09 */
  displayNameLengthMax: 256,
  /** R-DB-06 */
  jobsMax: 10_000,
  /** R-DB-06 */
  filesPerJobMax: 1_000,
  /** R-PEER-11: any frame that is not piece or manifest data. */
  controlFrameBytesMax: 64 * KiB,
  /** One slice of a piece on the wire: the balance measured in libp2p, 256 KiB to 1 MiB. */
  dataFrameBytesMax: 256 * KiB,
  /** R-PEER-13: a have-map of the largest manifest. */
  haveMapBytesMax: 16 * KiB,
  /** R-PEER-13 */
  contentsPerPeerMax: 64,
  /** R-PEER-16 */
  requestsPerPeerMax: 8,
  /** R-PEER-16 */
  requestsTotalMax: 64,
  /** R-PEER-18 */
  peersKnownMax: 512,
  /** R-PEER-18 */
  addressesPerPeerMax: 8,
  /** R-PEER-25: our handshake after Noise. */
  handshakeTimeoutMs: 5_000,
  /** R-SCH-05 */
  endgamePiecesMax: 16,
  /** R-SCH-02 */
  pieceTimeoutMsMax: 60_000,
  /** R-HTTP-07 */
  responseHeaderBytesMax: 16 * KiB,
  /** R-HTTP-07 */
  errorBodyBytesMax: 64 * KiB,
  /** R-HTTP-09 */
  retryAfterMsMax: 3_600_000,
  /** Events that one loop turn may queue before the engine calls it a fault. */
  loopQueueMax: 1_000_000,
} as const;

assert(
  LIMITS.haveMapBytesMax * 8 >= LIMITS.piecesPerManifestMax,
  "a have-map must be able to cover the largest manifest",
);
assert(
  LIMITS.haveMapBytesMax < LIMITS.controlFrameBytesMax,
  "a have-map must fit into one control frame",
);
assert(
  LIMITS.piecesPerManifestMax * 36 < LIMITS.manifestBytesMax,
  "digests and lengths of all pieces must fit into a manifest",
);
assert(
  LIMITS.requestsPerPeerMax <= LIMITS.requestsTotalMax,
  "one peer's share of requests cannot exceed the total",
);
