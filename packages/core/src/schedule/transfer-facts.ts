/** What a transfer has counted and been told, for those who show it. Decides nothing. */
import type { PieceLayout } from "../content/layout.ts";
import type { PieceSet } from "../content/piece-set.ts";
import { isNone, noneByClass } from "../policy/peer-class.ts";
import { parseHttpDate } from "../ports/http-date.ts";
import type { OriginEvent, OriginResponse } from "../ports/origin-port.ts";
import type { UnixMillis } from "../units.ts";
import type { FetchBytes, FetcherOptions } from "./fetcher-options.ts";
import { PieceRecord } from "./piece-record.ts";

export class TransferFacts {
  /** Bytes received in this run, by source. */
  readonly bytes: FetchBytes = { origin: 0, cacheServers: 0, peers: 0, wasted: 0, reused: 0 };
  /** Of them, those from peers, by the peers' class. */
  readonly receivedBytes = noneByClass();
  /** Bytes sent to peers in this run. */
  readonly sentBytes = noneByClass();
  get hasSent(): boolean {
    return !isNone(this.sentBytes);
  }

  /** What an origin answered last. */
  response: OriginResponse | undefined;
  /** The origin's `Last-Modified`, once an answer has told it. */
  modifiedAt: UnixMillis | undefined;
  /** Where pieces came from; handed on from transfer to transfer of one file. */
  pieces: PieceRecord | undefined;
  /** What is there at first was stored by an earlier run of the agent. */
  isContinued = false;

  /** What somebody counts up who fetches pieces that are not held. */
  toCount(
    layout: PieceLayout,
    have: PieceSet,
  ): Pick<FetcherOptions, "have" | "record" | "bytes" | "receivedBytes"> {
    const { bytes, receivedBytes } = this;
    return { have, record: this.recordFor(layout, have), bytes, receivedBytes };
  }

  /** The record of where pieces came from, for somebody who fetches those that are not held. */
  recordFor(layout: PieceLayout, have: PieceSet): PieceRecord {
    const record = this.pieces?.fits(layout) === true ? this.pieces : new PieceRecord(layout);
    record.agree(have, this.isContinued ? "beforeRestart" : "alreadyHere");
    this.pieces = record;
    return record;
  }

  note(event: OriginEvent): void {
    if (event.type === "originAnswered") this.response = event.response;
    else if (event.type === "originProbed" || event.type === "rangeFinished") {
      const { lastModified } = event.validator;
      const modifiedAt = lastModified === undefined ? undefined : parseHttpDate(lastModified);
      // The file systems of some machines know nothing before 1970.
      if (modifiedAt !== undefined && modifiedAt >= 0) this.modifiedAt = modifiedAt;
    }
  }
}
