/**
 * The origin adapter: fulfils the origin port of core over HTTP/1.1 and TLS. Turns commands into
 * requests, and their results into events; decides nothing, tries nothing twice. Every outgoing
 * request of an agent goes through here.
 *
 *   origin.ts        commands by request id
 *     request.ts     asking, redirects            errands.ts   what a command wants
 *       exchange.ts  one request, one response    interpret-response.ts   the response table
 *         connections.ts, dial.ts                 piece-filler.ts         bytes into pieces
 */
import { assert, errorInfo, KiB, LIMITS } from "@shoal/core";
import type {
  EventSink,
  Millis,
  OriginCommand,
  PieceBufferPool,
  PieceBytes,
  Port,
  RequestId,
} from "@shoal/core";
import type { LookupFunction } from "node:net";
import { ADDRESS_TABLE } from "./addresses.ts";
import type { AddressTable } from "./addresses.ts";
import { Connections } from "./connections.ts";
import { Dialer } from "./dial.ts";
import { createErrand } from "./errands.ts";
import { parseOriginUrl } from "./origin-url.ts";
import { OriginRequest } from "./request.ts";

/** The origin port fulfilled; `close` ends everything without another event. */
export type Origin = Port<OriginCommand, PieceBytes>;

export interface OriginDeps {
  /** Pieces are received into its buffers; whoever gets a `rangePiece` owns its payload. */
  readonly pool: PieceBufferPool;
  readonly sink: EventSink<PieceBytes>;
  /** Resolves host names in place of the operating system. */
  readonly lookup?: LookupFunction;
  /** Which addresses are of which kind, in place of the public registries. */
  readonly addresses?: AddressTable;
}

/** The numbers are those of R-HTTP-08 and R-HTTP-09. */
export interface OriginOptions {
  /** TCP and TLS together. Default 10 s. */
  readonly connectTimeoutMs?: Millis;
  /** From the request to the head of its response. Default 20 s. */
  readonly headersTimeoutMs?: Millis;
  /** Between two parts of a body. Default 20 s. */
  readonly bodyTimeoutMs?: Millis;
  /** For a connection, when all are busy. Default 60 s. */
  readonly waitTimeoutMs?: Millis;
  /** Until an idle connection is closed. Default 4 s: less than servers' usual 5 s. */
  readonly keepAliveMs?: Millis;
  /** Slowest average rate of a body that is tolerated. Default 4 KiB/s; 0 tolerates any. */
  readonly bodyRateBytesPerSecMin?: number;
  /** The time that rate is averaged over. Default 30 s. */
  readonly bodyRateWindowMs?: Millis;
  /** Default and maximum `LIMITS.originConnectionsPerHostMax`. */
  readonly connectionsPerHostMax?: number;
  readonly userAgent?: string;
  /** PEM certificates of authorities trusted beside the built-in ones. */
  readonly ca?: string;
}

export function createOrigin(deps: OriginDeps, options: OriginOptions = {}): Origin {
  const { pool, sink, lookup, addresses = ADDRESS_TABLE } = deps;
  const { ca, connectTimeoutMs = 10_000 } = options;
  const connections = new Connections(
    new Dialer({ addresses, lookup }, { connectTimeoutMs, ...(ca === undefined ? {} : { ca }) }),
    {
      headersTimeoutMs: options.headersTimeoutMs ?? 20_000,
      bodyTimeoutMs: options.bodyTimeoutMs ?? 20_000,
      waitTimeoutMs: options.waitTimeoutMs ?? 60_000,
      keepAliveMs: options.keepAliveMs ?? 4_000,
      connectionsPerHostMax: Math.min(
        options.connectionsPerHostMax ?? LIMITS.originConnectionsPerHostMax,
        LIMITS.originConnectionsPerHostMax,
      ),
    },
  );
  const requestOptions = {
    userAgent: options.userAgent ?? "Shoal",
    floor: {
      bytesPerSec: options.bodyRateBytesPerSecMin ?? 4 * KiB,
      windowMs: options.bodyRateWindowMs ?? 30_000,
    },
  };
  const requests = new Map<RequestId, OriginRequest>();
  const flow = { isOpen: true };
  let closed: Promise<void> | undefined;

  return {
    execute(command) {
      if (closed !== undefined) return;
      if (command.type === "cancelOrigin") return requests.get(command.requestId)?.cancel();
      if (command.type === "setFlow") {
        flow.isOpen = command.open;
        for (const request of requests.values()) request.applyFlow();
        return;
      }
      const { requestId, transferId } = command;
      assert(!requests.has(requestId), `origin request ${requestId} is already under way`);
      const parsed = parseOriginUrl(command.url);
      if (!parsed.ok) {
        const error = errorInfo("ERR_URL_INVALID", parsed.reason);
        const failure = { kind: "fatal", error } as const;
        return sink({ type: "originFailed", requestId, transferId, failure });
      }
      const errand = createErrand(command, parsed.url, { pool, sink });
      const onOver = (): void => void requests.delete(requestId);
      const request = new OriginRequest({ connections, flow, errand, onOver }, requestOptions);
      requests.set(requestId, request);
      request.start();
    },

    close() {
      closed ??= (async () => {
        for (const request of requests.values()) request.cancel();
        await connections.close();
      })();
      return closed;
    },
  };
}
