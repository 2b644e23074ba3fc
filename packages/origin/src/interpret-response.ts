/**
 * The response table (R-HTTP-06, R-HTTP-10 to R-HTTP-12): what the head of a response means for
 * what was asked. A pure function of both.
 *
 *   status            probe           range               stream            manifest
 *   206               probed          body                broken            broken
 *   200               probed          rangeUnsupported    body              body
 *   416               length 0        changed or broken   refused           refused
 *   301 302 303 307 308               redirect, for all
 *   404 410           not found, for all
 *   408 425 429 5xx   transient, for all
 *   other 2xx         transient       transient           transient         not found
 *   other 4xx         refused, for all
 *   any other         broken, for all
 *
 * A file that is wanted whole, however long, is answered as a stream is, and 201 to 204 as 200.
 *
 * Knows status and header fields. Knows no sockets and no bytes of bodies; whether a body keeps its
 * promised length is checked by whoever reads it. Called by `request.ts`.
 */
import { LIMITS, parseHttpDate } from "@shoal/core";
import type { Validator } from "@shoal/core";
import { parseDigest, parseReprDigest } from "./digest-fields.ts";
import { brokenRefusal } from "./failure.ts";
import type { Refusal } from "./failure.ts";
import {
  parseContentRange,
  parseDecimal,
  parseLastModified,
  parseRetryAfter,
  parseStrongEtag,
} from "./field-values.ts";

/** Status and header fields; names in lower case, one value per field line in order. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: ReadonlyMap<string, readonly string[]>;
}

/** What was asked. Ranges are half-open. */
export type OriginQuestion =
  /** `bytes=0-0`, to learn length and validator. */
  | { readonly kind: "probe" }
  | { readonly kind: "manifest" }
  | {
      readonly kind: "range";
      readonly start: number;
      readonly end: number;
      /** Of the whole remote file, in bytes. */
      readonly remoteLength: number;
      readonly validator?: Validator;
    }
  /** The whole file, however long it is. */
  | { readonly kind: "whole" }
  /** The whole file without `Range`. */
  | { readonly kind: "stream"; readonly remoteLength: number; readonly validator?: Validator };

export type Interpretation =
  /** `hasBody`: the one byte asked for follows; otherwise whatever follows is not wanted. */
  | {
      readonly kind: "probed";
      readonly length: number;
      readonly validator: Validator;
      readonly acceptsRanges: boolean;
      readonly hasBody: boolean;
      /** Of the whole file, where the server says it. */
      readonly sha256?: string;
    }
  /** Exactly `length` bytes must follow; for a manifest without one, at most the limit. */
  | { readonly kind: "body"; readonly length: number | undefined; readonly validator: Validator }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** Never throws. `nowEpochMs` is wall-clock time, for a `Retry-After` that is a date. */
export function interpretResponse(
  question: OriginQuestion,
  head: ResponseHead,
  nowEpochMs: number,
): Interpretation {
  const { status: originStatus } = head;
  const answer = interpretStatus(question, head, nowEpochMs);
  // With 200 and 206 it is something else in the head that is refused.
  if (answer.kind !== "refused" || originStatus === 200 || originStatus === 206) return answer;
  return refused({ ...answer.refusal, originStatus });
}

function interpretStatus(
  question: OriginQuestion,
  head: ResponseHead,
  nowEpochMs: number,
): Interpretation {
  const { status } = head;
  if (status === 206) return interpretPartial(question, head);
  if (status === 200) return interpretWhole(question, head);
  // Whoever wants just what there is takes it, under whatever success.
  if (question.kind === "whole" && status >= 201 && status <= 204) {
    return interpretWhole(question, head);
  }
  if (status === 416 && (question.kind === "probe" || question.kind === "range")) {
    return interpretUnsatisfied(question, head);
  }
  if ([301, 302, 303, 307, 308].includes(status)) {
    const location = only(head, "location");
    if (location === undefined) return broken(question, `${status} without one Location`);
    return { kind: "redirect", location };
  }
  return { kind: "refused", refusal: interpretError(question, head, nowEpochMs) };
}

/** The validator a response carries (R-HTTP-11). */
export function validatorOf(head: ResponseHead): Validator {
  const etag = parseStrongEtag(only(head, "etag") ?? "");
  const lastModified = parseLastModified(only(head, "last-modified") ?? "");
  return {
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
}

/**
 * Whether `now` names another file than `known`: a strong ETag decides alone; without one
 * `Last-Modified` does. A response that lacks what was seen before counts as changed.
 */
export function isChanged(known: Validator | undefined, now: Validator): boolean {
  if (known?.etag !== undefined) return now.etag !== known.etag;
  return known?.lastModified !== undefined && now.lastModified !== known.lastModified;
}

function interpretPartial(question: OriginQuestion, head: ResponseHead): Interpretation {
  if (question.kind !== "probe" && question.kind !== "range") {
    return broken(question, "206 although no range was asked for");
  }
  const framing = readFraming(head);
  if (!framing.ok) return broken(question, framing.reason);
  const validator = validatorOf(head);
  const known = question.kind === "range" ? question.validator : undefined;
  if (isChanged(known, validator)) return changed("206 with another validator");
  if (/^multipart\//i.test(head.fields.get("content-type")?.join(",").trim() ?? "")) {
    return broken(question, "206 with several parts");
  }
  const range = parseContentRange(only(head, "content-range") ?? "");
  if (range?.kind !== "satisfied") return broken(question, "206 without one Content-Range");
  const asked = question.kind === "range" ? question : { start: 0, end: 1 };
  if (range.start !== asked.start || range.end > asked.end) {
    return broken(question, "206 with another range than asked for");
  }
  const length = range.end - range.start;
  if (framing.length !== undefined && framing.length !== length) {
    return broken(question, "206 whose Content-Length contradicts its Content-Range");
  }
  if (question.kind === "range") {
    if (range.total !== undefined && range.total !== question.remoteLength) {
      // With the validator unchanged the server contradicts itself; with none to compare, the
      // length is the only sign there is of another file.
      return known?.etag === undefined && known?.lastModified === undefined
        ? changed("206 with another total length")
        : broken(question, "206 with another total length");
    }
    return { kind: "body", length, validator };
  }
  if (range.total === undefined) return broken(question, "206 without a total length");
  return probed(range.total, head, { validator, acceptsRanges: true, hasBody: true });
}

function interpretWhole(question: OriginQuestion, head: ResponseHead): Interpretation {
  const framing = readFraming(head);
  if (!framing.ok) return broken(question, framing.reason);
  const validator = validatorOf(head);
  const { length } = framing;
  switch (question.kind) {
    case "probe":
      if (length === undefined) {
        return refused({
          kind: "fatal",
          code: "ERR_ORIGIN_LENGTH_UNKNOWN",
          reason: "200 without Content-Length",
        });
      }
      return probed(length, head, { validator, acceptsRanges: false, hasBody: false });
    case "manifest":
      if (length === undefined && !framing.chunked) {
        return broken(question, "200 whose end cannot be told");
      }
      if (length !== undefined && length > LIMITS.manifestBytesMax) {
        return refused(MANIFEST_TOO_LONG);
      }
      return { kind: "body", length, validator };
    case "whole":
      // Without either, its end is the end of the connection, by whatever cause.
      return length === undefined && !framing.chunked && head.status !== 204
        ? broken(question, "200 whose end cannot be told")
        : { kind: "body", length, validator };
    case "range":
    case "stream":
      if (isChanged(question.validator, validator)) return changed("200 with another validator");
      if (length !== undefined && length !== question.remoteLength) {
        return changed("200 with another length");
      }
      if (question.kind === "stream") {
        return { kind: "body", length: question.remoteLength, validator };
      }
      return refused({
        kind: "rangeUnsupported",
        code: "ERR_ORIGIN_PROTOCOL",
        reason: "200 although a range was asked for",
      });
  }
}

/** R-MAN-09: the refusal of a manifest that is or grows longer than `LIMITS.manifestBytesMax`. */
export const MANIFEST_TOO_LONG: Refusal = {
  kind: "fatal",
  code: "ERR_MANIFEST_MALFORMED",
  reason: `it is longer than ${LIMITS.manifestBytesMax} bytes`,
};

function interpretUnsatisfied(
  question: Extract<OriginQuestion, { kind: "probe" | "range" }>,
  head: ResponseHead,
): Interpretation {
  const range = parseContentRange(only(head, "content-range") ?? "");
  const total = range?.kind === "unsatisfied" ? range.total : undefined;
  if (question.kind === "probe") {
    if (total !== 0) return broken(question, "416 to the first byte of a file that is not empty");
    const validator = validatorOf(head);
    return probed(0, head, { validator, acceptsRanges: true, hasBody: false });
  }
  if (total === question.remoteLength && !isChanged(question.validator, validatorOf(head))) {
    // Same file, and yet it refuses a range inside: its ranges are of no use, its bytes may be.
    return broken(question, "416 to a range inside the file");
  }
  return changed("416 with another total length");
}

function interpretError(question: OriginQuestion, head: ResponseHead, nowEpochMs: number): Refusal {
  const { status } = head;
  if (status === 404 || status === 410) {
    const code = question.kind === "manifest" ? "ERR_MANIFEST_UNAVAILABLE" : "ERR_ORIGIN_NOT_FOUND";
    return { kind: "fatal", code, reason: `status ${status}` };
  }
  if ([408, 425, 429].includes(status) || (status >= 500 && status <= 599)) {
    const now = parseHttpDate(only(head, "date") ?? "") ?? nowEpochMs;
    const retryAfterMs = parseRetryAfter(only(head, "retry-after") ?? "", now);
    return {
      kind: "transient",
      code: "ERR_ORIGIN_UNAVAILABLE",
      reason: `status ${status}`,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }
  if (status >= 200 && status <= 299) {
    // Nothing that was asked for, yet no refusal: DO waits and asks again (job-API, section 16).
    // A manifest is one of several ways on, and nobody waits for it.
    if (question.kind === "manifest") {
      return { kind: "fatal", code: "ERR_MANIFEST_UNAVAILABLE", reason: `status ${status}` };
    }
    return { kind: "transient", code: "ERR_ORIGIN_UNAVAILABLE", reason: `status ${status}` };
  }
  if (status >= 400 && status <= 499) {
    return { kind: "fatal", code: "ERR_ORIGIN_REFUSED", reason: `status ${status}` };
  }
  return brokenRefusal(`unexpected status ${status}`, isRanged(question));
}

type Framing =
  | { readonly ok: true; readonly length: number | undefined; readonly chunked: boolean }
  | { readonly ok: false; readonly reason: string };

/** How the body's end will be known, and that its bytes are the file's own (R-HTTP-06). */
function readFraming(head: ResponseHead): Framing {
  const coding = head.fields.get("content-encoding");
  if (coding !== undefined && !/^(?:identity)?$/i.test(coding.join(",").trim())) {
    return { ok: false, reason: "the body has a Content-Encoding" };
  }
  const transfer = head.fields.get("transfer-encoding");
  if (transfer !== undefined && !/^chunked$/i.test(transfer.join(",").trim())) {
    return { ok: false, reason: "the body has an unknown Transfer-Encoding" };
  }
  const lengths = head.fields.get("content-length");
  if (lengths === undefined)
    return { ok: true, length: undefined, chunked: transfer !== undefined };
  const length = parseDecimal(lengths.join(","));
  if (length === undefined || transfer !== undefined) {
    return { ok: false, reason: "the Content-Length is not one number" };
  }
  return { ok: true, length, chunked: false };
}

/** Whether the question is sent with a `Range`. */
export function isRanged(question: OriginQuestion): boolean {
  return question.kind === "probe" || question.kind === "range";
}

function probed(
  length: number,
  head: ResponseHead,
  rest: { validator: Validator; acceptsRanges: boolean; hasBody: boolean },
): Interpretation {
  if (length > LIMITS.contentLengthMax) {
    return refused({
      kind: "fatal",
      code: "ERR_ORIGIN_REFUSED",
      reason: `the file is longer than ${LIMITS.contentLengthMax} bytes`,
    });
  }
  const sha256 =
    parseReprDigest(head.fields.get("repr-digest")?.join(", ") ?? "") ??
    parseDigest(head.fields.get("digest")?.join(", ") ?? "");
  return { kind: "probed", length, ...rest, ...(sha256 === undefined ? {} : { sha256 }) };
}

const broken = (question: OriginQuestion, reason: string): Interpretation =>
  refused(brokenRefusal(reason, isRanged(question)));

const changed = (reason: string): Interpretation =>
  refused({ kind: "changed", code: "ERR_REMOTE_CHANGING", reason });

function refused(refusal: Refusal): Interpretation {
  return { kind: "refused", refusal };
}

/** The value of a field that stands exactly once. */
function only(head: ResponseHead, name: string): string | undefined {
  const values = head.fields.get(name);
  return values?.length === 1 ? values[0] : undefined;
}
