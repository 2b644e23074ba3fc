/**
 * One command's way to its answer: asks, follows redirects by its own rules (R-HTTP-03), answers
 * one challenge, has the response interpreted, and hands what is useful to an errand. An errand knows what its command
 * wants; this file knows how to ask for it.
 *
 * Called by `origin.ts`. Sends nothing but GET.
 */
import { LIMITS } from "@shoal/core";
import type { OriginEvent, OriginFailure } from "@shoal/core";
import type { Reach } from "./addresses.ts";
import type { Connections } from "./connections.ts";
import type { ReachedServer } from "./dial.ts";
import { Exchange } from "./exchange.ts";
import type { BodyUse, Flow, RateFloor } from "./exchange.ts";
import { failureOf } from "./failure.ts";
import type { Refusal } from "./failure.ts";
import { interpretResponse, isRanged } from "./interpret-response.ts";
import type { Interpretation, OriginQuestion } from "./interpret-response.ts";
import type { HeaderField, JobCredentials } from "./job-credentials.ts";
import { parseOriginUrl, showUrl } from "./origin-url.ts";
import type { Pace } from "./pace.ts";
import type { ReceivedHead } from "./response-head.ts";

/** Where an errand stands: it needs more bytes, is done, must ask again, or gives up. */
export type Progress = "more" | "done" | "again" | Refusal;

export type Answer = Extract<Interpretation, { kind: "probed" | "body" }>;

/** What one command wants. Called in order; nothing after `done`, a refusal or `abandon`. */
export interface Errand {
  readonly url: URL;
  readonly fresh: boolean;
  question(): OriginQuestion;
  /** `overTls`: every server from the first to the one that answered had a faultless certificate. */
  onAnswer(answer: Answer, overTls: boolean): Progress;
  /** `bytes` may be reused after the call. */
  onBytes(bytes: Uint8Array): Progress;
  /** The response ended in order. */
  onEnd(): Progress;
  /** Releases what it holds; it was cancelled or has failed. */
  abandon(): void;
}

export interface RequestDeps {
  readonly connections: Connections;
  /** Shared by all requests. */
  readonly flow: Flow;
  /** Shared by all requests of the transfer. */
  readonly pace: Pace;
  readonly errand: Errand;
  readonly credentials: JobCredentials;
  /** Hears of every head that is not on the way to another: neither redirect nor challenge. */
  readonly onAnswered: (response: OriginResponse) => void;
  /** The last call, if it comes. */
  readonly onFailed: (failure: OriginFailure) => void;
  readonly onOver: () => void;
}

export type OriginResponse = Extract<OriginEvent, { type: "originAnswered" }>["response"];

export interface RequestOptions {
  readonly userAgent: string;
  readonly floor: RateFloor;
}

export class OriginRequest {
  readonly #deps: RequestDeps;
  readonly #options: RequestOptions;
  #exchange: Exchange | undefined;
  /** A server has asked for more than the first fields, and from then on gets it. */
  #isChallenged = false;
  #over = false;

  constructor(deps: RequestDeps, options: RequestOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  start(): void {
    const { errand, pace } = this.#deps;
    pace.join(this);
    const { url } = errand;
    const visited = new Set([url.href]);
    const hop: Hop = { url, reach: "any", visited, isHome: true, overTls: true };
    this.#send(hop, errand.question());
  }

  /** Nothing is heard of the request afterwards. */
  cancel(): void {
    if (this.#over) return;
    this.#finish();
    this.#deps.errand.abandon();
  }

  /** Follows a change of the shared flow, or of the pace. */
  applyFlow(): void {
    this.#exchange?.applyFlow();
  }

  #send(hop: Hop, question: OriginQuestion): void {
    const { connections, flow: shared, pace, errand, credentials } = this.#deps;
    const flow: Flow = {
      get isOpen() {
        return shared.isOpen && pace.isOpen;
      },
    };
    const { isHome } = hop;
    const { fields, tls, key } = credentials.show({ isHome, isChallenged: this.#isChallenged });
    this.#exchange = new Exchange(
      {
        connections,
        flow,
        listener: {
          onHead: (head, server) => this.#onHead(hop, question, head, server),
          onBytes: (bytes) => {
            if (this.#over) return;
            this.#deps.pace.spend(this, bytes.length);
            this.#proceed(errand.onBytes(bytes), hop);
          },
          onEnd: () => this.#over || this.#proceed(errand.onEnd(), hop),
          onRefused: (refusal) => this.#fail(atRedirect(refusal, hop), hop.url),
        },
      },
      {
        url: hop.url,
        reach: hop.reach,
        fresh: errand.fresh,
        tls,
        key,
        fields: withOurs(this.#fieldsFor(question), fields),
        ranged: isRanged(question),
      },
      this.#options.floor,
    );
  }

  #onHead(hop: Hop, question: OriginQuestion, head: ReceivedHead, server: ReachedServer): BodyUse {
    const { errand, credentials, onAnswered } = this.#deps;
    const answer = interpretResponse(question, head, Date.now());
    const overTls = hop.overTls && server.isVerified;
    if (answer.kind === "redirect") {
      this.#detach();
      const { allowsInsecureRedirect } = credentials;
      const next = nextHop({ ...hop, overTls }, answer.location, {
        server,
        allowsInsecureRedirect,
      });
      if ("refusal" in next) this.#fail(next.refusal, hop.url);
      else this.#sendSoon(next, question);
      return "drain";
    }
    if (this.#canAnswerChallenge(hop, head)) {
      this.#detach();
      this.#isChallenged = true;
      this.#sendSoon(hop, question);
      return "drain";
    }
    const { href } = hop.url;
    const { status, block } = head;
    onAnswered({ status, headers: block, url: href, address: server.address });
    if (this.#over) return "close";
    switch (answer.kind) {
      case "body":
        this.#proceed(errand.onAnswer(answer, overTls), hop);
        return "read";
      case "probed":
        this.#detach();
        this.#proceed(errand.onAnswer(answer, overTls), hop);
        return answer.hasBody ? "drain" : "close";
      case "refused":
        this.#detach();
        this.#fail(answer.refusal, hop.url);
        return status >= 300 ? "drain" : "close";
    }
  }

  /** Once per request, and only where the job's own fields go at all. */
  #canAnswerChallenge({ isHome }: Hop, { status }: ReceivedHead): boolean {
    if (status !== 401 && status !== 407) return false;
    return isHome && !this.#isChallenged && this.#deps.credentials.hasChallengeAnswer;
  }

  /** After the stack has unwound: the HTTP parser is still at work on the response. */
  #sendSoon(hop: Hop, question: OriginQuestion): void {
    queueMicrotask(() => this.#over || this.#send(hop, question));
  }

  #proceed(progress: Progress, hop: Hop): void {
    if (this.#over || progress === "more") return;
    if (progress === "done") this.#finish();
    else if (progress === "again") this.start();
    else this.#fail(progress, hop.url);
  }

  #fail(refusal: Refusal, url: URL): void {
    if (this.#over) return;
    this.#finish();
    this.#deps.errand.abandon();
    this.#deps.onFailed(failureOf(refusal, url));
  }

  #finish(): void {
    this.#over = true;
    this.#exchange?.cancel();
    this.#deps.pace.leave(this);
    this.#deps.onOver();
  }

  /** Lets the exchange under way end by itself: its body is not this request's concern. */
  #detach(): void {
    this.#exchange = undefined;
  }

  #fieldsFor(question: OriginQuestion): HeaderField[] {
    const fields: HeaderField[] = [
      ["user-agent", this.#options.userAgent],
      ["accept-encoding", "identity"],
    ];
    if (this.#deps.errand.fresh) fields.push(["cache-control", "no-cache"]);
    if (question.kind === "probe") fields.push(["range", "bytes=0-0"]);
    if (question.kind !== "range") return fields;
    fields.push(["range", `bytes=${question.start}-${question.end - 1}`]);
    const etag = question.validator?.etag;
    if (etag !== undefined) fields.push(["if-range", etag]);
    return fields;
  }
}

/** Our fields, and those of the job that have other names. */
function withOurs(ours: readonly HeaderField[], others: readonly HeaderField[]): HeaderField[] {
  const names = new Set(ours.map(([name]) => name));
  return [...ours, ...others.filter(([name]) => !names.has(name.toLowerCase()))];
}

/** One URL on the way from the errand's URL through its redirects. */
interface Hop {
  readonly url: URL;
  readonly reach: Reach;
  /** Every URL so far, this one included. */
  readonly visited: ReadonlySet<string>;
  /** No hop so far has left the first URL's origin (R-HTTP-05). */
  readonly isHome: boolean;
  /** Every hop before this one was over TLS with a faultless certificate. */
  readonly overTls: boolean;
}

/**
 * The next hop after a redirect to `location` (R-HTTP-03), unless it may not be followed. From a
 * global address the way leads to global addresses only; the socket checks that (R-HTTP-04).
 */
function nextHop(
  { url, reach, visited, isHome, overTls }: Hop,
  location: string,
  { server, allowsInsecureRedirect }: { server: ReachedServer; allowsInsecureRedirect: boolean },
): Hop | { readonly refusal: Refusal } {
  const parsed = parseOriginUrl(location, url);
  if (!parsed.ok) return redirectRefusal(`redirected, but ${parsed.reason}`);
  const to = showUrl(parsed.url);
  const isInsecure = url.protocol === "https:" && parsed.url.protocol === "http:";
  if (isInsecure && !allowsInsecureRedirect) {
    return redirectRefusal(`redirected from https: to ${to}`);
  }
  if (visited.has(parsed.url.href)) return redirectRefusal(`redirected in a loop to ${to}`);
  if (visited.size > LIMITS.redirectsMax) {
    return redirectRefusal(`redirected more than ${LIMITS.redirectsMax} times`);
  }
  return {
    url: parsed.url,
    reach: server.kind === "global" ? "globalOnly" : reach,
    visited: new Set([...visited, parsed.url.href]),
    isHome: isHome && parsed.url.origin === url.origin,
    overTls,
  };
}

function redirectRefusal(reason: string): { readonly refusal: Refusal } {
  return { refusal: { kind: "fatal", code: "ERR_REDIRECT_REFUSED", reason } };
}

/** A refused address at the end of a redirect is the redirect's fault. */
function atRedirect(refusal: Refusal, hop: Hop): Refusal {
  return refusal.code === "ERR_ADDRESS_REFUSED" && hop.visited.size > 1
    ? { ...refusal, code: "ERR_REDIRECT_REFUSED" }
    : refusal;
}
