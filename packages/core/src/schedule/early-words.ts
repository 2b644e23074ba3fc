/**
 * What connected peers have said about a content, kept for a stage that begins later: a peer says
 * once that it takes part and once what it holds, however often we start over. Called by `Transfer`.
 */
import type { Millis, PeerId } from "../units.ts";
import type { Link } from "./peer-table.ts";
import type { PeerEvent, Stage } from "./stage.ts";

interface EarlyWord {
  readonly link: Link;
  joined?: PeerEvent;
  bitfield?: PeerEvent;
}

export class EarlyWords {
  readonly #words = new Map<PeerId, EarlyWord>();

  /** Peers that have said anything. */
  get size(): number {
    return this.#words.size;
  }

  remember(event: PeerEvent, link: Link): void {
    if (event.type === "peerLeft") this.#words.delete(link.peerId);
    if (event.type !== "peerJoined" && event.type !== "peerBitfield") return;
    const known = this.#words.get(link.peerId);
    const word: EarlyWord = known?.link === link ? known : { link };
    this.#words.set(link.peerId, word);
    if (event.type === "peerJoined") word.joined = event;
    else word.bitfield = event;
  }

  forget(peerId: PeerId): void {
    this.#words.delete(peerId);
  }

  /** Tells a new stage everything. Returns the peers whose word cannot be true of the content. */
  tell(stage: Stage, now: Millis): Link[] {
    const liars: Link[] = [];
    for (const { link, joined, bitfield } of this.#words.values()) {
      if (joined !== undefined) stage.peerEvent(joined, link, now);
      if (bitfield !== undefined && !stage.peerEvent(bitfield, link, now)) liars.push(link);
    }
    return liars;
  }
}
