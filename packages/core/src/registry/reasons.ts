/**
 * The one table of reasons: why a piece came from where it came from, why a peer is not used, what a
 * file or a job waits for; in a code, in words, and what the user can do about it. Explanations,
 * `shoal explain` and docs/reasons.md are made from it. Words are clauses, remedies sentences.
 */

/**
 * What a reason is given for: a piece asked of an origin (or what stands in for one), a piece that
 * came otherwise, a peer, a file, or a job.
 */
export type ReasonSubject = "origin" | "piece" | "peer" | "file" | "job";

export interface ReasonRow {
  readonly about: ReasonSubject;
  readonly words: string;
  /** Absent: nothing needs to be done, or nothing can. */
  readonly remedy?: string;
}

type Row<Subject> = ReasonRow & { readonly about: Subject };

const rowsAbout =
  <Subject extends ReasonSubject>(about: Subject) =>
  (words: string, remedy?: string): Row<Subject> => ({ about, words, ...(remedy && { remedy }) });

const origin = rowsAbout("origin");
const piece = rowsAbout("piece");
const peer = rowsAbout("peer");
const file = rowsAbout("file");
const job = rowsAbout("job");

const FIND_PEERS =
  "Check that other agents run, that mDNS is not blocked, or name one with --peer.";

export const REASONS = {
  noManifest: origin(
    "without a verified manifest only the origin may be used",
    "Name the content id, put the manifest beside the file on an https: origin, or trust its publisher.",
  ),
  noPeers: origin("no connected peer takes part in this content", FIND_PEERS),
  owned: origin("this member is the one that fetches this run for the swarm"),
  ownerSilent: origin("the member that owns this run has been silent for the stall timeout"),
  idleSteal: origin("nothing else was left to do and nobody had begun this run"),
  peersSlow: origin(
    "the origin is faster than all peers together",
    "Raise the upload limits of the peers, or find more of them.",
  ),
  peersSilent: origin(
    "no verified piece came from peers for the stall timeout",
    "See below what keeps the peers.",
  ),
  belowQos: origin(
    "a background file came more slowly than its least rate",
    "Lower the least rate of background files to leave more to peers.",
  ),
  corruptRetry: origin("another source sent corrupt bytes for this piece"),

  offered: piece("a peer had the piece and was asked for it"),
  endgame: piece("several sources were asked for the piece, and this one was first"),
  reused: piece("its bytes were found in another content on this machine"),
  alreadyHere: piece("it was on this machine when the download began"),
  beforeRestart: piece("it was fetched before the restart; from where is no longer known"),

  asked: peer("it is asked for pieces now"),
  idle: peer("it may be asked, and nothing is left to ask it for at this moment"),
  notDialled: peer("it is not dialled yet"),
  dialling: peer("it is being dialled"),
  dialFailed: peer(
    "it cannot be reached",
    "Check that its agent runs and that firewalls let its port through.",
  ),
  noAddress: peer("no address of it is known"),
  dialsFull: peer("as many others are being dialled as may be at a time (dialsMax)"),
  connectionsFull: peer(
    "the number of connections has reached its limit",
    "Raise the setting connectionsMax.",
  ),
  disconnected: peer("the connection with it has ended"),
  banned: peer(
    "it is banned for what it did",
    "If it was a fault that is mended, lift the ban: shoal peers unban PEER.",
  ),
  addressBanned: peer(
    "its address is refused for what peers there did",
    "If it was a fault that is mended, lift the ban: shoal peers unban ADDRESS.",
  ),
  notMember: peer("it is connected and takes no part in this content"),
  left: peer("it took part in this content and has left it"),
  givesManifest: peer("it takes part; which pieces there are is not known yet"),
  holdsNothing: peer("it takes part and has said of no piece that it has it"),
  nothingNew: peer("it has nothing that is missing here"),
  nothingMissing: peer("nothing is missing here any more"),
  probation: peer("it is on probation: one piece at a time until two are verified"),
  addressProbation: peer("peers on probation at its address owe all that they may together"),
  probationShareFull: peer("peers on probation fill the share that they may, and others can give"),
  addressShareFull: peer("peers at its address fill the half that they may, and others can give"),
  busy: peer("it has said that it is busy", "Its upload slots are taken: uploadsMax on its side."),
  stalled: peer("it did not deliver a piece in time, and is left alone for a while"),
  othersAsked: peer("all it has that is missing is asked of others already"),
  leftToNeighbours: peer("peers nearer than it have what is missing, or are fetching it"),
  inFlightFull: peer("as many bytes are under way as may be at a time (inFlightBytesMax)"),
  limitReached: peer("the bandwidth limit leaves nothing for peers now", "Raise the limit."),

  lookingForManifest: file("what the file consists of is being found out"),
  opening: file("its part file is being made, or what an earlier run left is being checked"),
  verifying: file("all bytes are here, and are being checked"),
  peersOnly: file(
    "the origin is not asked before the delay that is left to peers is over",
    "The settings p2pDelayForegroundMs and p2pDelayBackgroundMs are that delay.",
  ),
  leftToPeers: file("peers have what is missing, and are fast enough"),
  leftToMembers: file("another member of the swarm is to fetch what is missing from the origin"),
  noOrigin: file("it names no URL: only peers can deliver it", FIND_PEERS),
  noSource: file("nobody has what is missing", FIND_PEERS),
  originWaits: file("the origin has failed, and is asked again later"),
  originRefused: file(
    "none of its URLs will work",
    "Check the URL, and what the server answers to it.",
  ),
  cacheServersFirst: file("the origin is not asked before the delay left to cache servers is over"),
  cacheServersFailed: file(
    "cache servers have failed, so others are asked",
    "Check that the cache server runs, or leave it out.",
  ),
  paced: file("a bandwidth limit holds it back", "Raise the limit, or wait for its window to end."),
  yields: file("it leaves the link to downloads in the foreground"),

  queued: job("it waits for its turn", "Raise the setting activeJobsMax, or its priority."),
  suspended: job("it is suspended", "Resume it."),
  waitsToRetry: job("it has failed in a way that may pass, and is tried again"),
  failed: job("it has failed", "Mend what the error names, then resume it."),
  cancelled: job("it was cancelled"),
  unpublished: job("all bytes are here, and not yet at their destination", "Acknowledge it."),
  acknowledged: job("all bytes are at their destination"),
} as const;

export type ReasonCode = keyof typeof REASONS;

type CodesAbout<Subject> = {
  [Code in ReasonCode]: (typeof REASONS)[Code]["about"] extends Subject ? Code : never;
}[ReasonCode];

/** Why a piece was asked of the origin rather than of a peer. */
export type OriginReason = CodesAbout<"origin">;
/** Why a piece came from where it came from. */
export type PieceReason = CodesAbout<"origin" | "piece">;
/** How a peer stands with regard to one content. */
export type PeerReason = CodesAbout<"peer">;
