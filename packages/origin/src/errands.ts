/**
 * The three errands: learn length and validator, fetch the manifest beside a file, fetch a run of
 * pieces. Each turns one command into its events. Knows the contract of the origin port; knows
 * nothing of sockets, redirects and status codes. Created by `origin.ts`, driven by `request.ts`.
 */
import { assert, LIMITS, NO_BUFFER } from "@shoal/core";
import type { EventSink, OriginCommand, PieceBufferPool, PieceBytes, Validator } from "@shoal/core";
import { brokenRefusal, endedEarlyRefusal } from "./failure.ts";
import { MANIFEST_TOO_LONG } from "./interpret-response.ts";
import type { OriginQuestion } from "./interpret-response.ts";
import { sidecarUrl } from "./origin-url.ts";
import { PieceFiller } from "./piece-filler.ts";
import type { Answer, Errand, Progress } from "./request.ts";

export interface ErrandDeps {
  readonly pool: PieceBufferPool;
  readonly sink: EventSink<PieceBytes>;
}

type CommandOf<Type extends OriginCommand["type"]> = Extract<OriginCommand, { type: Type }>;

/** At most twice a second, as the port asks. */
const PROGRESS_INTERVAL_MS = 500;

/** `url` is the command's, parsed and accepted. */
export function createErrand(
  command: CommandOf<"probeOrigin" | "fetchManifest" | "fetchRange">,
  url: URL,
  deps: ErrandDeps,
): Errand {
  switch (command.type) {
    case "probeOrigin":
      return new ProbeErrand(command, url, deps);
    case "fetchManifest":
      return new ManifestErrand(command, command.place === "exact" ? url : sidecarUrl(url), deps);
    case "fetchRange":
      return new RangeErrand(command, url, deps);
  }
}

class ProbeErrand implements Errand {
  readonly url: URL;
  readonly fresh = false;
  readonly #command: CommandOf<"probeOrigin">;
  readonly #deps: ErrandDeps;

  constructor(command: CommandOf<"probeOrigin">, url: URL, deps: ErrandDeps) {
    this.#command = command;
    this.url = url;
    this.#deps = deps;
  }

  question(): OriginQuestion {
    return { kind: "probe" };
  }

  onAnswer(answer: Answer): Progress {
    if (answer.kind !== "probed") return "more";
    const { requestId, transferId } = this.#command;
    const { length, validator, acceptsRanges, sha256 } = answer;
    const found = { length, validator, acceptsRanges, ...(sha256 === undefined ? {} : { sha256 }) };
    this.#deps.sink({ type: "originProbed", requestId, transferId, ...found });
    return "done";
  }

  onBytes(): Progress {
    return "more";
  }

  onEnd(): Progress {
    return "more";
  }

  abandon(): void {}
}

class ManifestErrand implements Errand {
  readonly url: URL;
  readonly fresh = false;
  readonly #command: CommandOf<"fetchManifest">;
  readonly #deps: ErrandDeps;
  #parts: Uint8Array[] = [];
  #received = 0;
  #overTls = false;

  constructor(command: CommandOf<"fetchManifest">, url: URL, deps: ErrandDeps) {
    this.#command = command;
    this.url = url;
    this.#deps = deps;
  }

  question(): OriginQuestion {
    return { kind: "manifest" };
  }

  onAnswer(_: Answer, overTls: boolean): Progress {
    this.#overTls = overTls;
    return "more";
  }

  onBytes(bytes: Uint8Array): Progress {
    this.#received += bytes.length;
    if (this.#received > LIMITS.manifestBytesMax) return MANIFEST_TOO_LONG;
    this.#parts.push(bytes.slice());
    return "more";
  }

  /** The HTTP parser has seen to it that a length or the last chunk was reached. */
  onEnd(): Progress {
    const bytes = new Uint8Array(this.#received);
    let offset = 0;
    for (const part of this.#parts) {
      bytes.set(part, offset);
      offset += part.length;
    }
    this.#parts = [];
    const { requestId, transferId } = this.#command;
    const overTls = this.#overTls;
    this.#deps.sink({ type: "manifestFetched", requestId, transferId, bytes, overTls });
    return "done";
  }

  abandon(): void {
    this.#parts = [];
  }
}

/**
 * Fetches pieces by one range, or out of the whole file as a stream. A server may answer a range
 * with its beginning only; the rest is asked for again, and such answers that are much too short
 * count against the server (R-HTTP-12).
 */
class RangeErrand implements Errand {
  readonly url: URL;
  readonly fresh: boolean;
  readonly #command: CommandOf<"fetchRange">;
  readonly #deps: ErrandDeps;
  readonly #filler: PieceFiller;
  /** Where the bytes asked for end in the content. */
  readonly #end: number;
  /** What the latest answer said; later answers must say the same. */
  #validator: Validator | undefined;
  /** Bytes of the latest answer: promised and come. */
  #expected = 0;
  #received = 0;
  /** Bytes of all answers before it. */
  #receivedBefore = 0;
  #reported = 0;
  #shortAnswers = 0;
  #progressTimer: NodeJS.Timeout | undefined;

  constructor(command: CommandOf<"fetchRange">, url: URL, deps: ErrandDeps) {
    this.#command = command;
    this.url = url;
    this.fresh = command.fresh;
    this.#deps = deps;
    this.#validator = command.validator;
    const { layout, firstPiece, pieceCount, mode, remote } = command;
    assert(remote === undefined || mode === "range", "parts of a remote file come by range");
    const { requestId, transferId } = command;
    const startOffset = mode === "stream" ? 0 : layout.start(firstPiece);
    this.#end = layout.end(firstPiece + pieceCount - 1);
    const type = "rangePiece";
    this.#filler = new PieceFiller(
      { layout, firstPiece, pieceCount, startOffset },
      {
        pool: deps.pool,
        onPiece: (piece, bytes) =>
          deps.sink({ type, requestId, transferId, piece, bufferId: NO_BUFFER }, bytes),
      },
    );
  }

  question(): OriginQuestion {
    const { layout, mode, remote, firstPiece } = this.#command;
    const rest = {
      remoteLength: remote?.length ?? layout.contentLength,
      ...(this.#validator === undefined ? {} : { validator: this.#validator }),
    };
    if (mode === "stream") return { kind: "stream", ...rest };
    const shift = remote === undefined ? 0 : remote.start - layout.start(firstPiece);
    const start = this.#filler.nextOffset + shift;
    return { kind: "range", start, end: this.#end + shift, ...rest };
  }

  onAnswer(answer: Answer): Progress {
    this.#validator = answer.validator;
    this.#expected = answer.kind === "body" ? (answer.length ?? 0) : 0;
    this.#receivedBefore += this.#received;
    this.#received = 0;
    this.#progressTimer ??= setInterval(() => this.#reportProgress(), PROGRESS_INTERVAL_MS);
    return "more";
  }

  onBytes(bytes: Uint8Array): Progress {
    const wanted = bytes.subarray(0, this.#expected - this.#received);
    this.#received += bytes.length;
    this.#filler.push(wanted);
    if (this.#received > this.#expected) {
      return brokenRefusal("more bytes came than announced", this.#command.mode === "range");
    }
    // In a stream there may be more to come that nobody asked for.
    const isEarly = this.#filler.isComplete && this.#received < this.#expected;
    return isEarly ? this.#finish() : "more";
  }

  onEnd(): Progress {
    if (this.#received < this.#expected) return endedEarlyRefusal();
    if (this.#filler.isComplete) return this.#finish();
    const isShort = this.#received < LIMITS.shortAnswerBytes;
    this.#shortAnswers = isShort ? this.#shortAnswers + 1 : 0;
    if (this.#shortAnswers < LIMITS.shortAnswersMax) return "again";
    return brokenRefusal(`${this.#shortAnswers} answers in a row were much too short`, true);
  }

  abandon(): void {
    clearInterval(this.#progressTimer);
    this.#filler.abandon();
  }

  #reportProgress(): void {
    const receivedBytes = this.#receivedBefore + this.#received;
    if (receivedBytes === this.#reported) return;
    this.#reported = receivedBytes;
    const { requestId, transferId } = this.#command;
    this.#deps.sink({ type: "rangeProgress", requestId, transferId, receivedBytes });
  }

  #finish(): Progress {
    clearInterval(this.#progressTimer);
    const { requestId, transferId } = this.#command;
    const validator = this.#validator ?? {};
    this.#deps.sink({ type: "rangeFinished", requestId, transferId, validator });
    return "done";
  }
}
