/**
 * The origin adapter: fulfils the origin port of core over HTTP/1.1 and TLS. Turns commands into
 * requests, and their results into events; decides nothing, tries nothing twice. Every outgoing
 * request of an agent goes through here.
 *
 *   origin.ts        commands by request id
 *     request.ts     asking, redirects            errands.ts   what a command wants
 *       exchange.ts  one request, one response    interpret-response.ts   the response table
 *         response-head.ts                        job-credentials.ts      what a job shows to whom
 *         connections.ts                          piece-filler.ts         bytes into pieces
 *           dial.ts, dial-attempt.ts              authorities.ts, certificate-faults.ts
 *             proxies.ts, tunnel.ts
 */
import { assert, errorInfo, KiB, LIMITS } from "@shoal/core";
import type {
  EventSink,
  Millis,
  OriginCommand,
  OriginEvent,
  PieceBufferPool,
  PieceBytes,
  Port,
  RequestId,
  TransferId,
} from "@shoal/core";
import type { LookupFunction } from "node:net";
import { ADDRESS_TABLE } from "./addresses.ts";
import type { AddressTable } from "./addresses.ts";
import { checkAuthorities } from "./authorities.ts";
import { bodyReaderOf } from "./body-reader.ts";
import type { BodyReader } from "./body-reader.ts";
import { Connections } from "./connections.ts";
import { Dialer } from "./dial.ts";
import { createErrand } from "./errands.ts";
import { JobCredentials } from "./job-credentials.ts";
import { originCheckOf } from "./origin-check.ts";
import type { OriginCheck } from "./origin-check.ts";
import { parseOriginUrl } from "./origin-url.ts";
import type { ProxyOptions } from "./proxies.ts";
import { Paces } from "./pace.ts";
import { OriginRequest } from "./request.ts";
import type { RequestOptions } from "./request.ts";

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
  /** PEM certificates of authorities trusted beside the usual ones; see `readCaFile`. */
  readonly ca?: string;
  /** Default: none. */
  readonly proxy?: ProxyOptions;
}

/** Throws `ERR_PROXY_INVALID` and `ERR_CA_INVALID`. */
export function createOrigin(deps: OriginDeps, options: OriginOptions = {}): Origin {
  const { pool, sink } = deps;
  const connections = createConnections(deps, options);
  const requestOptions = requestOptionsOf(options);
  const requests = new Map<RequestId, OriginRequest>();
  const flow = { isOpen: true };
  const paces = new Paces();
  let isClosed = false;

  return {
    execute(command) {
      if (isClosed) return;
      if (command.type === "cancelOrigin") return requests.get(command.requestId)?.cancel();
      if (command.type === "setFlow") {
        flow.isOpen = command.open;
        for (const request of requests.values()) request.applyFlow();
        return;
      }
      if (command.type === "setPace") return paces.setRate(command);
      const { requestId, transferId } = command;
      assert(!requests.has(requestId), `origin request ${requestId} is already under way`);
      const parsed = parseOriginUrl(command.url);
      const ids = { requestId, transferId };
      if (!parsed.ok) return sink(refusal(ids, "ERR_URL_INVALID", parsed.reason));
      const credentials = JobCredentials.of(command.request);
      if (credentials === undefined) return sink(refusal(ids, "ERR_CLIENT_CERTIFICATE_INVALID"));
      const request = new OriginRequest(
        {
          connections,
          flow,
          pace: paces.of(transferId),
          errand: createErrand(command, parsed.url, { pool, sink }),
          credentials,
          onAnswered: (response) => sink({ type: "originAnswered", ...ids, response }),
          onFailed: (failure) => sink({ type: "originFailed", ...ids, failure }),
          onOver: () => requests.delete(requestId),
        },
        requestOptions,
      );
      requests.set(requestId, request);
      request.start();
    },

    close() {
      isClosed = true;
      for (const request of requests.values()) request.cancel();
      connections.close();
      return Promise.resolve();
    },
  };
}

/** Reads whole bodies, as the origin is reached. Throws as `createOrigin` does. */
export function createBodyReader(
  deps: Pick<OriginDeps, "lookup" | "addresses">,
  options: OriginOptions = {},
): BodyReader {
  return bodyReaderOf(createConnections(deps, options), requestOptionsOf(options));
}

/** Looks whether origins can be reached, as the origin reaches them. Throws as `createOrigin` does. */
export function createOriginCheck(
  deps: Pick<OriginDeps, "lookup" | "addresses">,
  options: OriginOptions = {},
): OriginCheck {
  return originCheckOf(createConnections(deps, options), requestOptionsOf(options));
}

function requestOptionsOf(options: OriginOptions): RequestOptions {
  return {
    userAgent: options.userAgent ?? "Shoal",
    floor: {
      bytesPerSec: options.bodyRateBytesPerSecMin ?? 4 * KiB,
      windowMs: options.bodyRateWindowMs ?? 30_000,
    },
  };
}

/** The one event about a command that is not sent at all. */
function refusal(
  ids: { readonly requestId: RequestId; readonly transferId: TransferId },
  ...[code, details]: Parameters<typeof errorInfo>
): OriginEvent {
  const failure = { kind: "fatal", error: errorInfo(code, details) } as const;
  return { type: "originFailed", ...ids, failure };
}

function createConnections(
  { addresses = ADDRESS_TABLE, lookup }: Pick<OriginDeps, "lookup" | "addresses">,
  options: OriginOptions,
): Connections {
  const { ca, proxy, connectTimeoutMs = 10_000 } = options;
  if (ca !== undefined) checkAuthorities(ca);
  const terms = { ...(ca === undefined ? {} : { ca }), ...(proxy === undefined ? {} : { proxy }) };
  return new Connections(new Dialer({ addresses, lookup }, { connectTimeoutMs, ...terms }), {
    headersTimeoutMs: options.headersTimeoutMs ?? 20_000,
    bodyTimeoutMs: options.bodyTimeoutMs ?? 20_000,
    waitTimeoutMs: options.waitTimeoutMs ?? 60_000,
    keepAliveMs: options.keepAliveMs ?? 4_000,
    connectionsPerHostMax: Math.min(
      options.connectionsPerHostMax ?? LIMITS.originConnectionsPerHostMax,
      LIMITS.originConnectionsPerHostMax,
    ),
  });
}
