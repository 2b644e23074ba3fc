/**
 * What connected peers have said about a content, kept for a stage that begins later: a peer says
 * once that it takes part, once what it holds and once what it has got since, however often we
 * start over. Bounded by the connected peers and the largest have-map. Called by `Transfer`.
 */
import { PieceSet } from "../content/piece-set.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId, Millis, PeerId, PieceIndex } from "../units.ts";
import type { Fetcher } from "./fetcher.ts";
import type { Link, PeerTable } from "./peer-table.ts";
import type { PeerEvent, Stage } from "./stage.ts";

interface EarlyWord {
  readonly link: Link;
  readonly contentId: ContentId;
  joined?: PeerEvent;
  bitfield?: PeerEvent;
  /** Pieces announced after the bitfield. */
  later?: PieceSet;
}

export class EarlyWords {
  readonly #words = new Map<PeerId, EarlyWord>();
  /** The same by the link's slot, for announcements, which are many; may be another link's. */
  readonly #bySlot: Array<EarlyWord | undefined> = [];

  /** Peers that have said anything. */
  get size(): number {
    return this.#words.size;
  }

  remember(event: PeerEvent, link: Link): void {
    switch (event.type) {
      case "peerLeft":
        this.forget(link.peerId);
        return;
      case "peerJoined":
        this.#wordOf(link, event.contentId).joined = event;
        return;
      case "peerBitfield": {
        const word = this.#wordOf(link, event.contentId);
        word.bitfield = event;
        delete word.later;
        return;
      }
      case "peerHave": {
        const word = this.#wordOf(link, event.contentId);
        word.later = withPieces(word.later, event.pieces);
      }
    }
  }

  /** It is another content: whatever was said is about the one before. */
  clear(): void {
    this.#words.clear();
    this.#bySlot.length = 0;
  }

  forget(peerId: PeerId): void {
    const word = this.#words.get(peerId);
    if (word === undefined) return;
    this.#words.delete(peerId);
    if (this.#bySlot[word.link.slot] === word) this.#bySlot[word.link.slot] = undefined;
  }

  /** Takes over what another transfer of the same content was told. */
  learnFrom(others: EarlyWords): void {
    for (const [peerId, { later, ...word }] of others.#words) {
      const copy: EarlyWord = { ...word };
      if (later !== undefined) {
        copy.later = withPieces(undefined, [...later]);
      }
      this.#keep(peerId, copy);
    }
  }

  /** What the fetcher, if it is one that worked, knows peers to hold is in place of all before. */
  takeOver(fetcher: Fetcher | undefined): void {
    for (const [link, bitfield] of fetcher?.bitfields() ?? []) {
      const word = this.#wordOf(link, bitfield.contentId);
      word.bitfield = bitfield;
      delete word.later;
    }
  }

  /** Tells a new stage everything; whose word cannot be true of the content has offended. */
  tell(stage: Stage, peers: PeerTable, now: Millis): void {
    for (const { link, contentId, joined, bitfield, later } of this.#words.values()) {
      const { peerId } = link;
      if (joined !== undefined) stage.peerEvent(joined, link, now);
      let isTrue = bitfield === undefined || stage.peerEvent(bitfield, link, now) !== "untrue";
      if (later !== undefined) {
        const have = { type: "peerHave", peerId, contentId, pieces: [...later] } as const;
        isTrue = stage.peerEvent(have, link, now) !== "untrue" && isTrue;
      }
      if (!isTrue) peers.lied(peerId, now);
    }
  }

  #wordOf(link: Link, contentId: ContentId): EarlyWord {
    const recent = this.#bySlot[link.slot];
    if (recent?.link === link) return recent;
    const known = this.#words.get(link.peerId);
    const word: EarlyWord = known?.link === link ? known : { link, contentId };
    this.#keep(link.peerId, word);
    return word;
  }

  #keep(peerId: PeerId, word: EarlyWord): void {
    this.#words.set(peerId, word);
    this.#bySlot[word.link.slot] = word;
  }
}

/** Room for so many pieces at first; doubled as announcements of higher ones come. */
const PIECE_COUNT_MIN = 1_024;

/** The set, or a larger copy, with `pieces` in it; indexes that no manifest can have are left out. */
function withPieces(set: PieceSet | undefined, pieces: readonly PieceIndex[]): PieceSet {
  let all = set ?? new PieceSet(PIECE_COUNT_MIN);
  for (const piece of pieces) {
    if (piece >= LIMITS.piecesPerManifestMax) continue;
    if (piece >= all.pieceCount) all = grown(all, piece + 1);
    all.add(piece);
  }
  return all;
}

function grown(set: PieceSet, pieceCountMin: number): PieceSet {
  let { pieceCount } = set;
  while (pieceCount < pieceCountMin) pieceCount *= 2;
  const larger = new PieceSet(pieceCount);
  for (const piece of set) larger.add(piece);
  return larger;
}
