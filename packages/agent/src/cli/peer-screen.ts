/** Peers and bans as people read them. */
import type { Ban } from "@shoal/core";
import type { PeerStatus } from "../service/agent-service.ts";
import { formatBytes, formatDistance, formatRate } from "./format-values.ts";
import { tableLines } from "./table.ts";
import type { Column } from "./table.ts";
import { tableStyle } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const ID_SHOWN = 8;

export function peerLines(peers: readonly PeerStatus[], terminal: Terminal): string[] {
  return tableLines(peerColumns(terminal), peers, tableStyle(terminal));
}

function peerColumns({ isScreen }: Terminal): ReadonlyArray<Column<PeerStatus>> {
  return [
    {
      title: "PEER",
      of: ({ peerId }) => (isScreen ? `…${peerId.slice(-ID_SHOWN)}` : peerId),
      rank: 1,
    },
    { title: "STATE", of: ({ state }) => state, rank: 1 },
    { title: "CLASS", of: ({ peerClass }) => peerClass ?? "", rank: 3 },
    { title: "RECEIVED", of: (one) => formatBytes(one.receivedBytes), align: "right", rank: 2 },
    { title: "SENT", of: ({ sentBytes }) => formatBytes(sentBytes), align: "right", rank: 2 },
    { title: "DOWN", of: (one) => rateOf(one.receivedBytesPerSec), align: "right", rank: 4 },
    { title: "UP", of: (one) => rateOf(one.sentBytesPerSec), align: "right", rank: 4 },
    { title: "FOUND BY", of: ({ foundBy }) => foundBy ?? "", rank: 6 },
    { title: "ADDRESS", of: ({ addresses }) => placeOf(addresses[0]), rank: 5, widthMin: 15 },
    { title: "WHY NOT", of: ({ reason }) => reasonOf(reason), rank: 3, widthMin: 20 },
  ];
}

function rateOf(bytesPerSec: number): string {
  return bytesPerSec === 0 ? "" : formatRate(bytesPerSec);
}

/** The address without the peer's id, which stands in a column of its own. */
function placeOf(address: string | undefined): string {
  return (address ?? "").replace(/\/p2p\/[^/]+$/, "");
}

function reasonOf(reason: PeerStatus["reason"]): string {
  return reason === undefined ? "" : `${reason.words} [${reason.code}]`;
}

export function banLines(bans: readonly Ban[], terminal: Terminal): string[] {
  if (bans.length === 0) return ["Nobody is banned."];
  const now = Date.now();
  // Whoever lifts a ban names its subject, so it is never cut.
  const columns: ReadonlyArray<Column<Ban>> = [
    { title: "KIND", of: ({ kind }) => kind, rank: 3 },
    { title: "SUBJECT", of: ({ subject }) => subject, rank: 1 },
    { title: "OFFENCE", of: ({ offence }) => offence, rank: 2 },
    { title: "ENDS", of: ({ until }) => formatDistance(until, now), rank: 2 },
  ];
  return tableLines(columns, bans, tableStyle(terminal));
}
