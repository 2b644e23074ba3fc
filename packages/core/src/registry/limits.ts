/**
 * Hard bounds. Configuration does not raise these; the rule that gives each number is named beside
 * it. Relations between bounds are asserted at the end, at load time.
 */
import { assert } from "../assert.ts";
import { KiB, MiB } from "../units.ts";

export const LIMITS = {
  /** R-MAN-09 */
  manifestBytesMax: 16 * MiB,
  /** R-MAN-05: keys of one publisher, and so signatures of one manifest. */
  keysPerPublisherMax: 16,
  /** Publishers an agent is told of. */
  publishersMax: 64,
  /** The name of a product in a signed manifest, in UTF-8 bytes. */
  productBytesMax: 255,
  /** The last second of the year 9999. */
  instantSecMax: 253_402_300_799,
  /** R-MAN-06: keys and products whose sequence is remembered; those not seen longest go first. */
  acceptedManifestsMax: 4_096,
  /** A signed announcement: room for the signatures of all keys a publisher may have. */
  announcementBytesMax: 4 * KiB,
  /** Announcements that are kept and passed on; those not asked for longest go first. */
  announcementsMax: 1_024,
  /** Announcements one peer is asked for in a minute: most of them in vain (R-PEER-17). */
  announcementAsksPerMinMax: 30,
  /** Peers asked about one file, and questions open to one of them. */
  announcementPeersMax: 32,
  announcementAsksPerPeerMax: 2,
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
  /** Members and nested values of a piece-hash file beside its digests, which bounds the parser. */
  pieceHashFileExtrasMax: 1_024,
  /** R-FS-03: one path component of a manifest's file name, in UTF-8 bytes. */
  fileNameBytesMax: 255,
  /** R-FS-03: a whole destination path, in UTF-8 bytes. */
  pathBytesMax: 4_095,
  /** R-API-09 gives 8 KiB for any string; a URL is one. */
  urlLengthMax: 8 * KiB,
  /** R-API-09 */
  displayNameLengthMax: 256,
  /** R-DB-06: live jobs and those that are over, together. */
  jobsMax: 10_000,
  /** Jobs that are over and still remembered; the oldest are forgotten first. */
  jobsOverMax: 1_000,
  /** R-DB-06 */
  filesPerJobMax: 1_000,
  /** Files of one job that are fetched, or published, at the same time when they are small. */
  smallFilesUnderWayMax: 16,
  /** A file that is not longer may be fetched beside others of its job. */
  smallFileLengthMax: MiB,
  /** Files that are searched for the pieces of a small one, which is soon fetched. */
  reuseSourcesOfSmallMax: 16,
  /** Four times what BITS allows. */
  rangesPerFileMax: 2_000,
  /** Further URLs of one file. */
  mirrorsPerFileMax: 16,
  /** A manifest inside a job, as base64: about 24,000 pieces. */
  inlineManifestLengthMax: MiB,
  /** Characters of a Metalink document. */
  metalinkLengthMax: MiB,
  /** Cache servers an agent is told of. */
  cacheHostsMax: 16,
  /** Cache servers that are not asked for one origin's files for now; the oldest go first. */
  cacheBansMax: 1_024,
  /** Sources of one file's pieces that are told apart; further peers are counted together. */
  explainedSourcesMax: 256,
  /** Runs of pieces that an explanation lists. */
  explainedRunsMax: 512,
  /** Of a published file: sources that are still told apart, and runs that are listed. */
  sealedSharesMax: 32,
  /** Peers that an explanation lists. */
  explainedPeersMax: 256,
  /** Peers that are remembered as having left contents; the oldest go first. */
  leaversMax: 1_024,
  /** Origins whose best number of connections is remembered; the oldest go first. */
  originHostsKnownMax: 256,
  /** Names and values that clients keep with a job. */
  attributesPerJobMax: 32,
  /** One such value, as text. */
  attributeLengthMax: 4_096,
  /** Caller's names: owners, file ids, idempotency keys. */
  nameLengthMax: 256,
  /** Header fields of a job's own, and all of them together. */
  requestFieldsMax: 32,
  requestHeaderLengthMax: 8 * KiB,
  /** A client certificate with its key, as text. */
  clientCertificateLengthMax: 64 * KiB,
  /** R-PEER-11: any frame that is not piece or manifest data. */
  controlFrameBytesMax: 64 * KiB,
  /** One slice of a piece on the wire. Measured: with half of it a transfer costs a twentieth more. */
  sliceBytesMax: 512 * KiB,
  /** R-PEER-13: a have-map of the largest manifest. */
  haveMapBytesMax: 16 * KiB,
  /** R-PEER-13: a peer says all it holds of a content at most once in this time. */
  haveMapIntervalMs: 2_000,
  /** R-FS-11: how often a job that waits for room on the disk is tried again. */
  diskFullRetryMs: 30_000,
  /** R-FS-09: errors of the disk with nothing committed in between, after which a job fails. */
  diskFailuresMax: 3,
  /** R-PEER-13 */
  contentsPerPeerMax: 64,
  /** R-PEER-16 */
  requestsPerPeerMax: 8,
  /** R-PEER-16 */
  requestsTotalMax: 64,
  /** Manifests asked of one peer at a time: half of its places, so that pieces come as well. */
  manifestsPerPeerMax: 4,
  /** R-PEER-17: requests of one peer that are not answered in full, at once and then a second. */
  requestBurstMax: 128,
  requestsPerSecMax: 64,
  /** R-PEER-21: what one member says about one content to all; today's take at most 196 bytes. */
  presenceBytesMax: KiB,
  /** Presence of one member that is passed on: at once, and then a second. */
  presenceBurstMax: 64,
  presencePerSecMax: 2,
  /** Presence that we publish, a second: half of what others put up with. */
  presencePublishedPerSecMax: 1,
  /** Contents that we publish presence in; the oldest are forgotten first. */
  presenceContentsMax: 1_024,
  /** Members whose latest presence is remembered; the oldest are forgotten first. */
  presenceAuthorsMax: 4_096,
  /** Gossip from one neighbour: one message, at once, and then a second. */
  gossipFrameBytesMax: 256 * KiB,
  gossipBurstBytesMax: MiB,
  gossipBytesPerSecMax: 64 * KiB,
  /** R-GRP-04: the current key of a group and the previous one. */
  groupKeysMax: 2,
  /** R-PEER-17: what one peer may ask for in vain. */
  notFoundPerMinMax: 60,
  /** R-PEER-20: of all peers together, without pieces. */
  peerBufferBytesMax: 256 * MiB,
  /** R-PEER-18 */
  peersKnownMax: 512,
  /** R-PEER-18 */
  addressesPerPeerMax: 8,
  /** R-BAN-03, R-DB-06: peers and addresses whose conduct is remembered. */
  bansMax: 4_096,
  /** Peers that have delivered and are remembered from run to run. */
  rememberedPeersMax: 64,
  /** R-PEER-29: addresses whose failed dials are remembered; the oldest go first. */
  dialBackoffsMax: 1_024,
  /** R-PEER-25: our handshake after the encrypted one. */
  handshakeTimeoutMs: 5_000,
  /** R-PEER-25: how soon a peer of another version is dialled again. */
  foreignRetryMs: 600_000,
  /** R-PEER-02 */
  pendingConnectionsMax: 10,
  /** R-PEER-03: new connections from one host per second. */
  inboundPerHostPerSecMax: 5,
  /** R-PEER-04: encryption, muxer and protocol negotiation, each. */
  negotiationTimeoutMs: 5_000,
  /** R-PEER-12: the certificate of a peer's TLS handshake; ours have 380 bytes. */
  certificateBytesMax: 4 * KiB,
  /** R-PEER-05 */
  connectionsPerPeerMax: 2,
  /** R-PEER-05 */
  connectionsPerHostMax: 8,
  /** R-PEER-06 allows 32; two are used, and each may hold a window of unread bytes (R-PEER-20). */
  streamsInboundMax: 8,
  /** R-PEER-06 allows 64. */
  streamsOutboundMax: 8,
  /** R-PEER-07: what a stream may receive ahead of its reader; also its flow-control limit. */
  streamReadBytesMax: 2 * MiB,
  /** R-PEER-06: what a stream may hold unsent before it is reset. */
  streamWriteBytesMax: MiB,
  /** R-PEER-20: what a connection may hold unsent, such as answers to the muxer's questions. */
  connectionWriteBytesMax: 4 * MiB,
  /** Control frames that may wait for a peer that does not read. */
  controlQueueBytesMax: 2 * MiB,
  /** Frames other than piece data that one peer may send in a second. */
  controlFramesPerSecMax: 10_000,
  /** R-PEER-19 */
  connectionIdleTimeoutMs: 300_000,
  /** R-PEER-27: shortest time one answer may take to leave. */
  uploadTimeoutMsMin: 30_000,
  /** R-PEER-27: a peer that reads more slowly than this loses its slot. */
  uploadRateBytesPerSecMin: 16 * KiB,
  /** A dial with all its addresses, and each of them. */
  dialTimeoutMs: 10_000,
  addressDialTimeoutMs: 3_000,
  /** R-PEER-29: peers nobody has heard of before. */
  discoveriesPerMinMax: 32,
  /** R-PEER-29, for addresses that presence tells of; the crew repeats its own every few seconds. */
  presencePeersPerMinMax: 256,
  /** R-PEER-29: ports below are other services. */
  peerPortMin: 1_024,
  /** R-SCH-05 */
  endgamePiecesMax: 16,
  /** R-SCH-02 */
  pieceTimeoutMsMax: 60_000,
  /** R-HTTP-07 */
  responseHeaderBytesMax: 16 * KiB,
  /** R-HTTP-07 */
  errorBodyBytesMax: 64 * KiB,
  /** R-HTTP-07 */
  responseFieldsMax: 100,
  /** R-HTTP-07 */
  informationalResponsesMax: 20,
  /** R-HTTP-03 */
  redirectsMax: 5,
  /** R-HTTP-09 */
  retryAfterMsMax: 3_600_000,
  /** R-HTTP-09 */
  originConnectionsPerHostMax: 16,
  /** R-HTTP-09 */
  originConnectionsTotalMax: 64,
  /** Requests to origins that may wait for a connection. */
  originRequestsWaitingMax: 1_024,
  /** R-HTTP-12: answers in a row much shorter than asked. */
  shortAnswersMax: 8,
  /** R-HTTP-12: what counts as much shorter. */
  shortAnswerBytes: 64 * KiB,
  /** Commands given to the store and not yet finished; the scheduler's own bounds are far below. */
  storeCommandsMax: 65_536,
  /** Complete contents the store remembers for serving; the oldest are forgotten first. */
  storedContentsMax: 10_000,
  /** Manifests of complete contents that are loaded at start, the newest first. */
  storedManifestBytesMax: 64 * MiB,
  /** Manifests searched for pieces of a content that is opened, and kept: room for the largest. */
  reuseManifestBytesMax: 8 * MiB,
  /** R-API-09: connections to the REST API that ask; events and streams are counted apart. */
  restConnectionsMax: 64,
  /** From so many on, a connection is closed when its answer has left. */
  restConnectionsKeptMax: 48,
  /** Watchers of events of one listener of the API. */
  restWatchersMax: 200,
  /** Streams of jobs' bytes of one listener; each holds at most one piece. */
  restStreamsMax: 64,
  /** Requests of one connection that wait for answers; then it is closed. */
  restPipelinedMax: 8,
  /** R-API-09 */
  restBodyBytesMax: MiB,
  /** Of what creates or changes a job: 1,000 files of 4 KiB each. */
  restJobBodyBytesMax: 4 * MiB,
  /** R-API-09: how deeply JSON may be nested. */
  jsonDepthMax: 16,
  /** Commas and opening brackets of a body, which bound the memory that its JSON needs. */
  jsonPartsMax: 131_072,
  /** R-API-09: of JSON that is no job. */
  jsonItemsMax: 1_000,
  jsonTextLengthMax: 8 * KiB,
  /** R-API-09 */
  restHeaderBytesMax: 16 * KiB,
  /** R-API-09 */
  restHeaderTimeoutMs: 10_000,
  /** R-API-09: for a whole request to come, and for what waits to be sent to be taken. */
  restRequestTimeoutMs: 30_000,
  /** R-API-09: how long a connection that asks nothing is kept. */
  restIdleTimeoutMs: 5_000,
  /** The same on a socket, where only this machine's programs are. */
  restSocketIdleTimeoutMs: 60_000,
  /** R-API-09 */
  restPageItemsMax: 500,
  /** A page, or a part of a long answer that is sent at once, unless one item alone is longer. */
  restPageBytesMax: 4 * MiB,
  restPartBytesMax: 256 * KiB,
  /** Events that are kept for watchers who are slow or come back. */
  restEventsKeptMax: 2_048,
  /** How long they are kept when nobody watches. */
  restEventsKeptMs: 60_000,
  /** What may wait to be sent to one watcher. */
  restUnsentBytesMax: 256 * KiB,
  /** News of one job that has not changed its state are at least so far apart. */
  restJobEventIntervalMs: 250,
  /** R-API-10 */
  tokenFailuresPerMinMax: 20,
  tokenLockoutMs: 60_000,
  /** Calls that one client of an agent may have open. */
  restCallsWaitingMax: 65_536,
  /** The DO-compatible listener: what the SDK's minimal parser takes, and the reference agent. */
  doRestRequestBytesMax: 2_048,
  doRestResponseBytesMax: 2_048,
  /** R-API-09: callers at a time; of too many the one that was quiet longest is let go. */
  doRestConnectionsMax: 256,
  /** R-API-09: for a whole request to come, and for its response to be taken. */
  doRestRequestTimeoutMs: 30_000,
  /** Bytes that wait to be sent to one caller; then nothing more is read from it. */
  doRestUnsentBytesMax: 64 * KiB,
  /** Downloads of its callers that are neither finalized nor aborted. */
  doRestDownloadsMax: 4_096,
  /** One configuration file; the SDK writes a connection string of some hundred characters. */
  doRestConfigBytesMax: 64 * KiB,
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
assert(
  LIMITS.manifestsPerPeerMax < LIMITS.requestsPerPeerMax,
  "manifests must leave places for pieces",
);
assert(
  LIMITS.announcementAsksPerMinMax < LIMITS.notFoundPerMinMax,
  "whoever asks for announcements in vain must not count as a flood",
);
assert(
  LIMITS.announcementBytesMax < LIMITS.controlFrameBytesMax,
  "an announcement must fit into one control frame",
);
assert(
  LIMITS.sliceBytesMax + LIMITS.controlFrameBytesMax <= LIMITS.streamWriteBytesMax,
  "one turn of the frame writer must fit into a stream's write buffer",
);
assert(
  LIMITS.attributesPerJobMax * (LIMITS.attributeLengthMax + LIMITS.nameLengthMax) * 6 <
    LIMITS.restJobBodyBytesMax,
  "one job, with every character of its attributes escaped, must fit into a body",
);
assert(
  LIMITS.rangesPerFileMax * 3 < LIMITS.jsonPartsMax,
  "a file with all its ranges must fit into a body",
);
assert(
  LIMITS.restConnectionsKeptMax < LIMITS.restConnectionsMax,
  "connections must be given back before there are none",
);
