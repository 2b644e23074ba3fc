/**
 * Finds out what a file consists of, as `Resolver` does, and where that ends with length and
 * validator alone, whether a trusted publisher has announced what they stand for (T3). Then the
 * manifest is fetched from peers by the announced id.
 *
 *   Resolver:             probing ────────────────▶ bare file
 *   AnnouncementSearch:   asking, beside it ──────▶ │ announced? ──no, or no manifest──▶ bare file
 *                                                   └───yes──▶ manifest of the content ──▶ verified
 *
 * Whatever goes wrong costs the peers and a short wait, never the job (R-MAN-01). Nobody is asked
 * where nobody is trusted, nor about files that not everybody may have (R-PRIV-02). Called by
 * `Transfer`, which reads `outcome` and `contentId` after each call.
 */
import { urlTag } from "../content/announcement.ts";
import { contentIdOf } from "../content/content-id.ts";
import { decodeManifest } from "../content/manifest.ts";
import { hex } from "../hash/digest.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ContentId, Millis, PeerId, RequestId, TransferId } from "../units.ts";
import type { AnnouncedContent } from "./announcement-search.ts";
import { AnnouncementSearch } from "./announcement-search.ts";
import type { FileSources } from "./file-sources.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { ManifestPeers } from "./manifest-peers.ts";
import type { Link } from "./peer-table.ts";
import type { Resolution } from "./resolution.ts";
import type { ResolveOutcome } from "./resolver-steps.ts";
import { Resolver } from "./resolver.ts";
import type { PeerEvent, Stage, WordOutcome } from "./stage.ts";

/** The search for the manifest of an announced content. */
interface Announced {
  readonly contentId: ContentId;
  readonly peers: ManifestPeers;
  /** Until then somebody must be there who can be asked. */
  readonly idleUntil: Millis;
  readonly giveUpAt: Millis;
}

export class AnnouncedResolver implements Stage {
  readonly #deps: MachineDeps;
  readonly #transferId: TransferId;
  readonly #file: JobFileSpec;
  readonly #resolver: Resolver;
  readonly #search: AnnouncementSearch | undefined;
  #announced: Announced | undefined;
  outcome: ResolveOutcome | undefined;

  constructor(
    deps: MachineDeps,
    options: { transferId: TransferId; file: JobFileSpec; sources: FileSources },
    now: Millis,
  ) {
    this.#deps = deps;
    this.#transferId = options.transferId;
    this.#file = options.file;
    this.#resolver = new Resolver(deps, options, now);
    const tag = deps.publishers.isEmpty ? undefined : tagOf(options.file);
    if (tag !== undefined && this.#resolver.outcome === undefined) {
      const { transferId } = options;
      this.#search = new AnnouncementSearch(deps, { transferId, tag }, now);
    }
    this.#advance(now);
  }

  /** The content that peers are asked about, and in the end the one it is. */
  get contentId(): ContentId | undefined {
    const { outcome } = this;
    if (outcome?.name === "resolved") return outcome.resolution.manifest?.contentId;
    return this.#announced?.contentId ?? this.#file.contentId;
  }

  peerEvent(event: PeerEvent, link: Link, now: Millis): WordOutcome {
    if (event.type === "peerAnnouncement") {
      this.#search?.answered(event.requestId, event.bytes, now);
    } else if (event.type === "requestRefused" && this.#search?.owns(event.requestId) === true) {
      this.#search.refused(event.requestId);
    } else if (this.#announced === undefined) this.#resolver.peerEvent(event, link, now);
    else this.#manifestEvent(this.#announced, event, link, now);
    this.#advance(now);
    return "moved";
  }

  peerGone(peerId: PeerId, now: Millis): void {
    this.#resolver.peerGone(peerId, now);
    this.#search?.gone(peerId);
    this.#announced?.peers.gone(peerId);
    this.#advance(now);
  }

  originEvent(event: OriginEvent, now: Millis): void {
    this.#resolver.originEvent(event, now);
    this.#advance(now);
  }

  owns(requestId: RequestId): boolean {
    return (
      this.#resolver.owns(requestId) ||
      this.#search?.owns(requestId) === true ||
      this.#announced?.peers.owns(requestId) === true
    );
  }

  pollDeadline(): Millis {
    if (this.outcome !== undefined) return Infinity;
    const announced = this.#announced;
    if (announced !== undefined) {
      return Math.min(announced.peers.pollDeadline(), this.#giveUpAt(announced));
    }
    if (this.#search === undefined) return this.#resolver.pollDeadline();
    if (this.#resolver.outcome !== undefined) return this.#search.pollDeadline();
    return Math.min(this.#resolver.pollDeadline(), this.#search.askAt());
  }

  handleTimeout(now: Millis): void {
    if (this.#resolver.outcome === undefined) this.#resolver.handleTimeout(now);
    this.#search?.ask(now);
    this.#announced?.peers.ask(now);
    this.#advance(now);
  }

  stop(): void {
    this.#resolver.stop();
    this.#search?.stop();
    this.#announced?.peers.cancelAll();
  }

  /** Takes the next step that what is known allows. */
  #advance(now: Millis): void {
    const { outcome } = this.#resolver;
    if (this.outcome !== undefined || outcome === undefined) return;
    const search = this.#search;
    const bare = outcome.name === "resolved" ? outcome.resolution : undefined;
    if (search === undefined || bare?.validator === undefined) return this.#end(outcome);
    if (this.#announced === undefined) {
      const found = search.find(bare.layout.contentLength, bare.validator);
      if (found === undefined) return search.isOver(now) ? this.#end(outcome) : undefined;
      this.#announced = this.#fetchManifest(found, now);
    }
    if (now >= this.#giveUpAt(this.#announced)) this.#end(outcome);
  }

  /** At once where nobody is there and nobody is dialled. */
  #giveUpAt({ peers, idleUntil, giveUpAt }: Announced): Millis {
    if (!peers.isEmpty) return giveUpAt;
    const { links, dialler } = this.#deps.peers;
    return links.size === 0 && !dialler.hopeful ? 0 : idleUntil;
  }

  /** Peers that have some of the content have its manifest; who announced it probably does. */
  #fetchManifest({ contentId, peerId }: AnnouncedContent, now: Millis): Announced {
    this.#search?.stop();
    const { settings } = this.#deps;
    const peers = new ManifestPeers(this.#deps, contentId);
    const link = peerId === undefined ? undefined : this.#deps.peers.links.get(peerId);
    if (link !== undefined) peers.offered(link);
    peers.ask(now);
    const idleUntil = now + settings.announcementTimeoutMs;
    const giveUpAt = Math.max(idleUntil, now + settings.stallTimeoutMs);
    return { contentId, peers, idleUntil, giveUpAt };
  }

  #manifestEvent(announced: Announced, event: PeerEvent, link: Link, now: Millis): void {
    const { contentId, peers } = announced;
    if (event.type === "peerBitfield") peers.offered(link);
    else if (event.type === "requestRefused") peers.refused(event, now);
    else if (event.type === "peerManifest") {
      const peerId = peers.answered(event.requestId);
      if (peerId !== undefined && contentIdOf(event.bytes) === contentId) {
        return this.#verified({ contentId, bytes: event.bytes });
      }
      if (peerId !== undefined) this.#deps.peers.offended(peerId, "corruptManifest", now);
    }
    peers.ask(now);
  }

  /** The manifest that was announced; what it says must not contradict what else is known. */
  #verified(manifest: { readonly contentId: ContentId; readonly bytes: Uint8Array }): void {
    const outcome = this.#resolver.outcome;
    const bare = outcome?.name === "resolved" ? outcome.resolution : undefined;
    if (outcome === undefined || bare === undefined) return;
    const decoded = decodeManifest(manifest.bytes);
    const problem = decoded.ok ? this.#contradiction(decoded.manifest, bare) : decoded.reason;
    if (decoded.ok && problem === undefined) {
      const { layout } = decoded.manifest;
      const { acceptsRanges } = bare;
      const resolution = { layout, manifest, acceptsRanges, isAnnounced: true };
      return this.#end({ name: "resolved", resolution });
    }
    const error = errorInfo("ERR_MANIFEST_MISMATCH", problem);
    this.#deps.outbox.notice({ type: "manifestRefused", transferId: this.#transferId, error });
    this.#end(outcome);
  }

  #contradiction(
    { layout, contentDigest }: { layout: Resolution["layout"]; contentDigest?: Uint8Array },
    bare: Resolution,
  ): string | undefined {
    const { contentLength } = layout;
    if (contentLength !== bare.layout.contentLength) {
      return `it has ${contentLength} bytes, the file ${bare.layout.contentLength}`;
    }
    const expected = this.#file.sha256?.toLowerCase() ?? bare.sha256;
    if (expected === undefined || contentDigest === undefined) return undefined;
    return hex(contentDigest) === expected ? undefined : "it has another SHA-256 than the file";
  }

  #end(outcome: ResolveOutcome): void {
    this.stop();
    this.#announced = undefined;
    this.outcome = outcome;
  }
}

/** Only of whole files that the job does not name by their bytes, and that are nobody's secret. */
function tagOf({ url, mirrors = [], contentId, manifest, ...file }: JobFileSpec) {
  if (url === undefined || contentId !== undefined || manifest !== undefined) return undefined;
  if (file.ranges !== undefined || file.pieceHashes !== undefined) return undefined;
  const { headers = [], challengeHeaders = [], clientCertificate } = file.request ?? {};
  if (headers.length + challengeHeaders.length > 0 || clientCertificate !== undefined)
    return undefined;
  // Where one of its places is private, so is the file.
  return mirrors.every((mirror) => urlTag(mirror) !== undefined) ? urlTag(url) : undefined;
}
