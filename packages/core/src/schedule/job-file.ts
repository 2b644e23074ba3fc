/** One file of a job: what was asked for, how far it is, and what it looks like from outside. */
import type { JobFileSpec } from "../job/file-spec.ts";
import type { JobFileRecord } from "../job/record.ts";
import { RangeMap } from "../job/ranges.ts";
import { addByClass, isNone, noneByClass, sumByClass } from "../policy/peer-class.ts";
import type { ByPeerClass } from "../policy/peer-class.ts";
import type { OriginResponse } from "../ports/origin-port.ts";
import type { ResumableContent } from "../ports/store-port.ts";
import type { ContentId, Millis, UnixMillis } from "../units.ts";
import type { FetchBytes } from "./fetcher-options.ts";
import type { PieceRecord } from "./piece-record.ts";
import type { Publishers } from "./publishers.ts";
import { resolutionOf, unverifiedLayout } from "./resolution.ts";
import type { Resolution } from "./resolution.ts";
import type { SinkDelivery } from "./sink-delivery.ts";
import type { FileSnapshot } from "./snapshot.ts";
import type { Transfer } from "./transfer.ts";

export class JobFile {
  spec: JobFileSpec;
  isTransferred: boolean;
  isPublished: boolean;
  modifiedAt: UnixMillis | undefined;
  #remoteLength: number | undefined;
  /** What was found out about the content; kept so that a resumed job need not ask again. */
  resolution: Resolution | undefined;
  transfer: Transfer | undefined;
  /** It has failed beside an earlier file, and runs again when it is the first that is missing. */
  waitsForTurn = false;
  /** Only for files that go to a stream. */
  sink: SinkDelivery | undefined;
  /** What an origin answered last, before the present transfer. */
  #response: OriginResponse | undefined;
  /** Where its pieces came from, in this run. */
  pieces: PieceRecord | undefined;
  /** An earlier run of the agent has fetched some of it. */
  #isContinued: boolean;
  #deliveredBy: string | undefined;
  #downloadMode: number | undefined;
  /** Bytes received by transfers that have ended. */
  readonly #received: FetchBytes;
  readonly #receivedBytes = noneByClass();
  readonly #sentBytes = noneByClass();
  /** Stored bytes when the last transfer ended. */
  #storedBytes = 0;
  #activeMs: Millis = 0;
  #openedAt: Millis | undefined;

  constructor(record: JobFileRecord) {
    this.spec = record.spec;
    this.isTransferred = record.isTransferred;
    this.isPublished = record.isPublished;
    this.modifiedAt = record.modifiedAt;
    this.#remoteLength = record.remoteLength;
    const { originBytes: origin, peerBytes: peers, wastedBytes: wasted } = record;
    const cacheServers = record.cacheServerBytes ?? 0;
    addByClass(this.#receivedBytes, record.receivedBytes ?? {});
    this.#received = { origin, cacheServers, peers, wasted, reused: 0 };
    this.#isContinued = record.isTransferred || origin + cacheServers + peers > 0;
  }

  static of(spec: JobFileSpec): JobFile {
    const none = { originBytes: 0, peerBytes: 0, wastedBytes: 0 };
    return new JobFile({ spec, isTransferred: false, isPublished: false, ...none });
  }

  /** Takes up what an earlier run stored, where that can be done without asking any network. */
  recall(content: ResumableContent, publishers: Publishers): void {
    const { manifest, length, validatorKey, storedBytes } = content;
    this.#storedBytes = storedBytes;
    if (storedBytes > 0) this.#isContinued = true;
    const key = validatorKey === undefined ? {} : { validatorKey };
    const { ranges } = this.spec;
    if (manifest !== undefined) {
      if (this.#mayBelieve(manifest.contentId, publishers))
        this.resolution = resolutionOf(manifest);
    } else if (!this.isTransferred) return;
    else if (ranges === undefined) {
      this.resolution = { layout: unverifiedLayout(length), acceptsRanges: false, ...key };
    } else if (this.#remoteLength !== undefined) {
      const rangeMap = RangeMap.of(ranges, this.#remoteLength);
      if ("code" in rangeMap) return;
      this.resolution = { layout: rangeMap.layout, acceptsRanges: true, rangeMap, ...key };
    }
  }

  /** A transfer begins. */
  opened(transfer: Transfer, now: Millis): void {
    this.transfer = transfer;
    transfer.facts.pieces = this.pieces;
    transfer.facts.isContinued = this.#isContinued;
    if (!this.isTransferred) this.#openedAt = now;
  }

  /** All bytes are here, by this transfer. */
  transferred({ resolution, facts }: Transfer, now: Millis): void {
    this.isTransferred = true;
    this.resolution = resolution;
    this.modifiedAt = facts.modifiedAt ?? this.modifiedAt;
    this.#remoteLength = resolution?.rangeMap?.remoteLength;
    this.#stopClock(now);
  }

  /** The transfer is over: what it has counted is kept. */
  closed(transfer: Transfer, now: Millis): void {
    const { bytes, receivedBytes, sentBytes, response } = transfer.facts;
    const { origin, cacheServers, peers, wasted, reused } = bytes;
    this.#received.origin += origin;
    this.#received.cacheServers += cacheServers;
    this.#received.peers += peers;
    this.#received.wasted += wasted;
    this.#received.reused += reused;
    addByClass(this.#receivedBytes, receivedBytes);
    addByClass(this.#sentBytes, sentBytes);
    this.#storedBytes = transfer.storedBytes;
    this.#downloadMode = transfer.terms.downloadMode;
    this.#response = response ?? this.#response;
    this.#deliveredBy = transfer.sources.deliveredBy?.url ?? this.#deliveredBy;
    this.pieces = transfer.facts.pieces;
    this.transfer = undefined;
    this.#stopClock(now);
  }

  /** Nothing of it changes any more: of its pieces a summary is kept. */
  seal(): void {
    this.pieces = this.transfer?.facts.pieces ?? this.pieces;
    this.pieces?.seal();
  }

  get isContinued(): boolean {
    return this.#isContinued;
  }

  get response(): OriginResponse | undefined {
    return this.transfer?.facts.response ?? this.#response;
  }

  get length(): number | undefined {
    return (this.transfer?.resolution ?? this.resolution)?.layout.contentLength;
  }

  get transferredBytes(): number {
    if (this.spec.toStream === true && !this.isTransferred) return this.sink?.deliveredBytes ?? 0;
    if (this.isTransferred) return this.length ?? this.#storedBytes;
    // Until the part file is open, what it held last time is the best guess.
    const now = this.transfer?.storedBytes ?? 0;
    const isOpen = this.transfer?.committed !== undefined;
    return Math.min(isOpen ? now : Math.max(this.#storedBytes, now), this.length ?? Infinity);
  }

  get bytes(): FetchBytes {
    const now = this.transfer?.facts.bytes;
    return {
      origin: this.#received.origin + (now?.origin ?? 0),
      cacheServers: this.#received.cacheServers + (now?.cacheServers ?? 0),
      peers: this.#received.peers + (now?.peers ?? 0),
      wasted: this.#received.wasted + (now?.wasted ?? 0),
      reused: this.#received.reused + (now?.reused ?? 0),
    };
  }

  toRecord(): JobFileRecord {
    const { origin, cacheServers, peers, wasted } = this.bytes;
    return {
      spec: this.spec,
      isTransferred: this.isTransferred,
      isPublished: this.isPublished,
      ...(this.modifiedAt === undefined ? {} : { modifiedAt: this.modifiedAt }),
      ...(this.#remoteLength === undefined ? {} : { remoteLength: this.#remoteLength }),
      originBytes: origin,
      ...(cacheServers === 0 ? {} : { cacheServerBytes: cacheServers }),
      peerBytes: peers,
      ...(isNone(this.receivedBytes) ? {} : { receivedBytes: this.receivedBytes }),
      wastedBytes: wasted,
    };
  }

  /** Of the bytes that came from peers, whose they were. */
  get receivedBytes(): ByPeerClass {
    return sumByClass(this.#receivedBytes, this.transfer?.facts.receivedBytes);
  }

  snapshot(now: Millis): FileSnapshot {
    const { spec, transfer, length, bytes, modifiedAt } = this;
    const deliveredBy = transfer?.sources.deliveredBy?.url ?? this.#deliveredBy;
    const downloadMode = transfer?.terms.downloadMode ?? this.#downloadMode;
    const { fileId, url, mirrors, destination, declaredLength, ranges, mandatoryIntegrity } = spec;
    const resolution = transfer?.resolution ?? this.resolution;
    const contentId = resolution?.manifest?.contentId ?? transfer?.contentId ?? spec.contentId;
    return {
      ...(fileId === undefined ? {} : { fileId }),
      ...(url === undefined ? {} : { url }),
      ...(mirrors === undefined ? {} : { mirrors }),
      ...(deliveredBy === undefined ? {} : { deliveredBy }),
      ...(destination === undefined ? {} : { destination }),
      toStream: spec.toStream === true,
      phase: this.#phase,
      ...(contentId === undefined ? {} : { contentId }),
      ...(length === undefined ? {} : { length }),
      ...(declaredLength === undefined ? {} : { declaredLength }),
      ...(ranges === undefined ? {} : { ranges }),
      ...(mandatoryIntegrity === undefined ? {} : { mandatoryIntegrity }),
      transferredBytes: this.transferredBytes,
      originBytes: bytes.origin,
      cacheServerBytes: bytes.cacheServers,
      peerBytes: bytes.peers,
      wastedBytes: bytes.wasted,
      reusedBytes: bytes.reused,
      receivedBytes: this.receivedBytes,
      sentBytes: sumByClass(this.#sentBytes, transfer?.facts.sentBytes),
      originRequests: transfer?.fetcher?.originRequests ?? 0,
      integrity: this.#integrity(resolution),
      peers: transfer?.memberCount ?? 0,
      activeMs: this.#activeMs + (this.#openedAt === undefined ? 0 : now - this.#openedAt),
      ...(modifiedAt === undefined ? {} : { modifiedAt }),
      ...(downloadMode === undefined ? {} : { downloadMode }),
    };
  }

  get #phase(): FileSnapshot["phase"] {
    if (this.isPublished) return "published";
    if (this.isTransferred) return "transferred";
    const phase = this.transfer?.phase ?? "waiting";
    // Its bytes are all here, and the stream has not taken them yet.
    return phase === "transferred" ? "verifying" : phase;
  }

  /** What names the content may have been changed since it was stored, until all of it is here. */
  #mayBelieve(storedId: ContentId, publishers: Publishers): boolean {
    if (this.isTransferred) return true;
    const { contentId, pieceHashes, url } = this.spec;
    if (contentId !== undefined) return contentId === storedId;
    const mayBeTls = url?.startsWith("https:") === true;
    return pieceHashes === undefined && publishers.mayContinue(storedId, mayBeTls);
  }

  #integrity(resolution: Resolution | undefined): FileSnapshot["integrity"] {
    if (resolution?.manifest !== undefined) return "pieces";
    return (this.spec.sha256 ?? resolution?.sha256) === undefined ? "none" : "digest";
  }

  #stopClock(now: Millis): void {
    if (this.#openedAt !== undefined) this.#activeMs += now - this.#openedAt;
    this.#openedAt = undefined;
  }
}
