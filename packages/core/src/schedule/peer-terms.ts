/**
 * What policy says of one content: whether peers are asked for it, and whether they may have it.
 *
 * Knows the gate, the file's length and whether it is private. Kept by `Transfer`.
 */
import type { JobFileSpec } from "../job/file-spec.ts";
import { isPrivateFile } from "../job/private-content.ts";
import type { PolicyReason } from "../registry/policy-reasons.ts";
import type { PeerGate } from "./peer-gate.ts";
import type { Resolution } from "./resolution.ts";

/** What the terms depend on, asked anew each time. */
export interface PeerTermsAbout {
  /** Absent for a content that is only served: who shared it has decided. */
  readonly file: JobFileSpec | undefined;
  /** What is known of the content by now. */
  readonly known: { readonly resolution: Resolution | undefined };
}

export class PeerTerms {
  readonly #gate: PeerGate;
  readonly #known: PeerTermsAbout["known"];
  readonly #isPrivate: boolean;
  /** What `mayPeer` has last been decided for; nearly every event asks. */
  #judged: Resolution | undefined;
  #mayPeer: boolean;

  constructor(gate: PeerGate, { file, known }: PeerTermsAbout) {
    this.#gate = gate;
    this.#known = known;
    this.#isPrivate = file !== undefined && isPrivateFile(file);
    this.#mayPeer = gate.isLongEnough(undefined);
  }

  /** Whether the content may have peers; before its length is known it may. */
  get mayPeer(): boolean {
    const { resolution } = this.#known;
    if (resolution !== this.#judged) {
      this.#judged = resolution;
      this.#mayPeer = this.#gate.isLongEnough(resolution?.layout.contentLength);
    }
    return this.#mayPeer;
  }

  /** Whether peers can be waited for now. */
  get hasPeers(): boolean {
    return this.mayPeer && this.#gate.peering.partners !== "none";
  }

  /** Whether peers may have it from us now (R-PRIV-02, R-PEER-26). */
  get mayServe(): boolean {
    if (this.#known.resolution?.manifest === undefined || this.#isPrivate) return false;
    return this.#gate.peering.mayServe && this.mayPeer;
  }

  /** What stands in the way of peers for this content alone. */
  get reasons(): readonly PolicyReason[] {
    return [
      ...(this.mayPeer ? [] : ["fileTooSmall" as const]),
      ...(this.#isPrivate ? ["privateContent" as const] : []),
    ];
  }

  /** The mode it is fetched in, by Delivery Optimization's number. */
  get downloadMode(): number {
    return this.#gate.downloadModeOf(this.#length);
  }

  get #length(): number | undefined {
    return this.#known.resolution?.layout.contentLength;
  }
}
