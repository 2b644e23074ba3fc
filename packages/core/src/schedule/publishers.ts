/**
 * The publishers that the user trusts, and what was accepted on their word: decides whether a signed
 * manifest is new enough and about the file that was asked for (R-MAN-06, R-MAN-07, R-MAN-13).
 *
 * Each acceptance is remembered under every key of its publisher, so that replacing keys one after
 * the other neither forgets a sequence nor revives an old one. Publishers do not share what they
 * have said: none can move another's sequences or time.
 *
 * Knows statements, never who passed them on. Fetches nothing. Called by `Resolver` and, when the
 * state of earlier runs is in, by `JobTable`.
 */
import { openSignedManifest } from "../content/signed-manifest.ts";
import type { OpenedManifest } from "../content/signed-manifest.ts";
import type { Signed } from "../content/envelope.ts";
import type { Publisher } from "../content/publisher.ts";
import type { AcceptedManifest, StoredAnnouncement, StoredContent } from "../ports/store-port.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorCode, ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId, Millis } from "../units.ts";
import { Announcements } from "./announcements.ts";
import type { Outbox } from "./outbox.ts";
import type { WallClock } from "./wall-clock.ts";

export type AcceptResult =
  | { readonly ok: true; readonly opened: OpenedManifest }
  | { readonly ok: false; readonly error: ErrorInfo };

/** What is loaded of it, the contents being those that were on offer. */
export interface LoadedState {
  readonly accepted?: readonly AcceptedManifest[];
  readonly contents: readonly StoredContent[];
  readonly announcements?: readonly StoredAnnouncement[];
}

/** What of a signed statement decides whether it may be believed now. */
export interface DatedStatement extends Signed {
  readonly product: string;
  readonly sequence: number;
  readonly issuedAtSec: number;
  readonly expiresAtSec: number;
  readonly contentId: ContentId;
}

export interface PublishersDeps {
  readonly outbox: Outbox;
  readonly wallClock: WallClock;
}

export class Publishers {
  /** What they have said of other people's URLs. */
  readonly announcements: Announcements;
  readonly trusted: readonly Publisher[];
  readonly #deps: PublishersDeps;
  /** The latest of every key and product, by both; the one accepted last comes last. */
  readonly #accepted = new Map<string, AcceptedManifest>();

  constructor(deps: PublishersDeps, trusted: readonly Publisher[]) {
    this.#deps = deps;
    this.trusted = trusted;
    this.announcements = new Announcements({ outbox: deps.outbox, publishers: this });
  }

  /** Nobody is trusted: there is no reason to look for signatures. */
  get isEmpty(): boolean {
    return this.trusted.length === 0;
  }

  /**
   * Takes up what earlier runs accepted, the earliest first. Returns the contents that peers may
   * have: not those for which only keys have vouched that are not trusted any more (R-MAN-13).
   */
  load({ accepted = [], contents, announcements = [] }: LoadedState): StoredContent[] {
    for (const item of accepted) this.#remember(item);
    this.announcements.load(announcements);
    return contents.filter(({ contentId }) => this.mayContinue(contentId, true));
  }

  /**
   * Whether a job may start with these bytes for the file at `url`; if so, that is remembered.
   * Refuses with `ERR_MANIFEST_MALFORMED`, `ERR_MANIFEST_UNTRUSTED`, `ERR_MANIFEST_MISMATCH`,
   * `ERR_MANIFEST_EXPIRED` or `ERR_MANIFEST_ROLLBACK`.
   */
  accept(bytes: Uint8Array, url: string, now: Millis): AcceptResult {
    const result = openSignedManifest(bytes, this.trusted);
    if (!result.ok) return result;
    const { opened } = result;
    const { publisher, signers, statement, contentId } = opened;
    if (!isAbout(opened, url)) {
      return refused("ERR_MANIFEST_MISMATCH", `it describes ${statement.product.slice(0, 100)}`);
    }
    const error = this.acceptStatement({ publisher, signers, contentId, ...statement }, now);
    return error === undefined ? result : { ok: false, error };
  }

  /**
   * Whether anything may start with a statement whose signatures are right; if so, that is
   * remembered. Refuses with `ERR_MANIFEST_EXPIRED` or `ERR_MANIFEST_ROLLBACK`.
   */
  acceptStatement(statement: DatedStatement, now: Millis): ErrorInfo | undefined {
    const problem = this.checkAge(statement, now);
    if (problem !== undefined) return problem;
    const { publisher, signers, product, sequence, issuedAtSec, contentId } = statement;
    const accepted = publisher.keys.map(({ keyId }) => {
      const issuedAt = issuedAtSec * 1_000;
      return { keyId, hasSigned: signers.has(keyId), product, sequence, issuedAt, contentId };
    });
    for (const item of accepted) this.#remember(item);
    this.#deps.outbox.store({ type: "saveAccepted", accepted });
    return undefined;
  }

  /**
   * Whether a job that an earlier run began with this content may go on with it: not when too few
   * of the keys that signed it are still trusted (R-MAN-13), nor when none did, unless TLS may.
   */
  mayContinue(contentId: ContentId, mayBeTls: boolean): boolean {
    const signers = new Set<string>();
    for (const item of this.#accepted.values()) {
      if (item.contentId === contentId && item.hasSigned) signers.add(item.keyId);
    }
    if (signers.size === 0) return mayBeTls;
    return this.trusted.some(({ keys, signaturesMin }) => {
      return keys.filter(({ keyId }) => signers.has(keyId)).length >= signaturesMin;
    });
  }

  /** R-MAN-07 by the clock of R-TIME-04, then R-MAN-06. */
  checkAge(statement: DatedStatement, now: Millis): ErrorInfo | undefined {
    const { publisher, product, sequence, expiresAtSec } = statement;
    const keyIds = new Set(publisher.keys.map(({ keyId }) => keyId));
    let highest = 0;
    let latestAt = this.#deps.wallClock.at(now);
    for (const earlier of this.#accepted.values()) {
      if (!keyIds.has(earlier.keyId)) continue;
      latestAt = Math.max(latestAt, earlier.issuedAt);
      if (earlier.product === product) highest = Math.max(highest, earlier.sequence);
    }
    if (latestAt >= expiresAtSec * 1_000) {
      return errorInfo("ERR_MANIFEST_EXPIRED", `its time is over since second ${expiresAtSec}`);
    }
    if (sequence < highest) {
      return errorInfo(
        "ERR_MANIFEST_ROLLBACK",
        `it is number ${sequence}, and ${highest} was seen`,
      );
    }
    if (sequence - highest > SEQUENCE_JUMP_MAX) {
      return errorInfo(
        "ERR_MANIFEST_ROLLBACK",
        `number ${sequence} is too far ahead of ${highest}`,
      );
    }
    return undefined;
  }

  #remember(item: AcceptedManifest): void {
    const key = `${item.keyId} ${item.product}`;
    this.#accepted.delete(key);
    this.#accepted.set(key, item);
    if (this.#accepted.size <= LIMITS.acceptedManifestsMax) return;
    const [oldest] = this.#accepted.keys();
    if (oldest !== undefined) this.#accepted.delete(oldest);
  }
}

/** R-MAN-06: whoever jumps further would leave no number for those who come after. */
const SEQUENCE_JUMP_MAX = 2 ** 40;

/**
 * Whether one file or product of this name is what the URL ends in: whoever answers for the origin
 * could otherwise give a publisher's one file for another.
 */
function isAbout({ statement, manifest }: OpenedManifest, url: string): boolean {
  const [file, ...others] = manifest.files;
  if (file === undefined || others.length > 0) return false;
  const last = URL.parse(url)?.pathname.split("/").at(-1) ?? "";
  return [file.name, statement.product].includes(decoded(last));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function refused(code: ErrorCode, details: string): AcceptResult & { readonly ok: false } {
  return { ok: false, error: errorInfo(code, details) };
}
