/**
 * One command's way to its answer: asks, follows redirects by its own rules (R-HTTP-03), has the
 * response interpreted, and hands what is useful to an errand. An errand knows what its command
 * wants; this file knows how to ask for it.
 *
 * Called by `origin.ts`. Sends nothing but GET.
 */
import { LIMITS } from "@shoal/core";
import type { OriginFailure } from "@shoal/core";
import type { AddressKind, Reach } from "./addresses.ts";
import type { Connections } from "./connections.ts";
import { Exchange } from "./exchange.ts";
import type { BodyUse, Flow, RateFloor } from "./exchange.ts";
import { failureOf } from "./failure.ts";
import type { Refusal } from "./failure.ts";
import { interpretResponse, isRanged } from "./interpret-response.ts";
import type { Interpretation, OriginQuestion, ResponseHead } from "./interpret-response.ts";
import { parseOriginUrl, showUrl } from "./origin-url.ts";

/** Where an errand stands: it needs more bytes, is done, must ask again, or gives up. */
export type Progress = "more" | "done" | "again" | Refusal;

export type Answer = Extract<Interpretation, { kind: "probed" | "body" }>;

/** What one command wants. Called in order; nothing after `done`, a refusal or `abandon`. */
export interface Errand {
  readonly url: URL;
  readonly fresh: boolean;
  question(): OriginQuestion;
  /** `overTls`: every URL from the first to the one that answered was `https:`. */
  onAnswer(answer: Answer, overTls: boolean): Progress;
  /** `bytes` may be reused after the call. */
  onBytes(bytes: Uint8Array): Progress;
  /** The response ended in order. */
  onEnd(): Progress;
  onFailed(failure: OriginFailure): void;
  /** Releases what it holds; it was cancelled or has failed. */
  abandon(): void;
}

export interface RequestDeps {
  readonly connections: Connections;
  /** Shared by all requests. */
  readonly flow: Flow;
  readonly errand: Errand;
  readonly onOver: () => void;
}

export interface RequestOptions {
  readonly userAgent: string;
  readonly floor: RateFloor;
}

export class OriginRequest {
  readonly #deps: RequestDeps;
  readonly #options: RequestOptions;
  #exchange: Exchange | undefined;
  #over = false;

  constructor(deps: RequestDeps, options: RequestOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  start(): void {
    const { errand } = this.#deps;
    const { url } = errand;
    this.#send({ url, reach: "any", visited: new Set([url.href]) }, errand.question());
  }

  /** Nothing is heard of the request afterwards. */
  cancel(): void {
    if (this.#over) return;
    this.#finish();
    this.#deps.errand.abandon();
  }

  /** Follows a change of the shared flow. */
  applyFlow(): void {
    this.#exchange?.applyFlow();
  }

  #send(hop: Hop, question: OriginQuestion): void {
    const { connections, flow, errand } = this.#deps;
    this.#exchange = new Exchange(
      {
        connections,
        flow,
        listener: {
          onHead: (head, kind) => this.#onHead(hop, question, head, kind),
          onBytes: (bytes) => this.#over || this.#proceed(errand.onBytes(bytes), hop),
          onEnd: () => this.#over || this.#proceed(errand.onEnd(), hop),
          onRefused: (refusal) => this.#fail(atRedirect(refusal, hop), hop.url),
        },
      },
      {
        url: hop.url,
        reach: hop.reach,
        fresh: errand.fresh,
        fields: this.#fieldsFor(question),
        ranged: isRanged(question),
      },
      this.#options.floor,
    );
  }

  #onHead(hop: Hop, question: OriginQuestion, head: ResponseHead, kind: AddressKind): BodyUse {
    const { errand } = this.#deps;
    const answer = interpretResponse(question, head, Date.now());
    const overTls = hop.url.protocol === "https:" && errand.url.protocol === "https:";
    switch (answer.kind) {
      case "body":
        this.#proceed(errand.onAnswer(answer, overTls), hop);
        return "read";
      case "probed":
        this.#detach();
        this.#proceed(errand.onAnswer(answer, overTls), hop);
        return answer.hasBody ? "drain" : "close";
      case "redirect": {
        this.#detach();
        const next = nextHop(hop, answer.location, kind);
        if ("refusal" in next) this.#fail(next.refusal, hop.url);
        else queueMicrotask(() => this.#over || this.#send(next, question));
        return "drain";
      }
      case "refused":
        this.#detach();
        this.#fail(answer.refusal, hop.url);
        return head.status >= 300 ? "drain" : "close";
    }
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
    this.#deps.errand.onFailed(failureOf(refusal, url));
  }

  #finish(): void {
    this.#over = true;
    this.#exchange?.cancel();
    this.#deps.onOver();
  }

  /** Lets the exchange under way end by itself: its body is not this request's concern. */
  #detach(): void {
    this.#exchange = undefined;
  }

  #fieldsFor(question: OriginQuestion): string[] {
    const fields = ["user-agent", this.#options.userAgent, "accept-encoding", "identity"];
    if (this.#deps.errand.fresh) fields.push("cache-control", "no-cache");
    if (question.kind === "probe") fields.push("range", "bytes=0-0");
    if (question.kind !== "range") return fields;
    fields.push("range", `bytes=${question.start}-${question.end - 1}`);
    const etag = question.validator?.etag;
    if (etag !== undefined) fields.push("if-range", etag);
    return fields;
  }
}

/** One URL on the way from the errand's URL through its redirects. */
interface Hop {
  readonly url: URL;
  readonly reach: Reach;
  /** Every URL so far, this one included. */
  readonly visited: ReadonlySet<string>;
}

/**
 * The next hop after a redirect to `location` (R-HTTP-03), unless it may not be followed. From a
 * global address the way leads to global addresses only; the socket checks that (R-HTTP-04).
 */
function nextHop(
  { url, reach, visited }: Hop,
  location: string,
  kind: AddressKind,
): Hop | { readonly refusal: Refusal } {
  const parsed = parseOriginUrl(location, url);
  if (!parsed.ok) return redirectRefusal(`redirected, but ${parsed.reason}`);
  const to = showUrl(parsed.url);
  if (url.protocol === "https:" && parsed.url.protocol === "http:") {
    return redirectRefusal(`redirected from https: to ${to}`);
  }
  if (visited.has(parsed.url.href)) return redirectRefusal(`redirected in a loop to ${to}`);
  if (visited.size > LIMITS.redirectsMax) {
    return redirectRefusal(`redirected more than ${LIMITS.redirectsMax} times`);
  }
  return {
    url: parsed.url,
    reach: kind === "global" ? "globalOnly" : reach,
    visited: new Set([...visited, parsed.url.href]),
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
