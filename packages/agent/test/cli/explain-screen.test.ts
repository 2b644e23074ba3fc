/** The screens of `shoal explain`, character by character. */
import { expect, test } from "vitest";
import { MiB, REASONS } from "@shoal/core";
import type {
  ExplainedFile,
  ExplainedPeer,
  ExplainedShare,
  ExplainedSource,
  JobExplanation,
  PeerReason,
  PieceReason,
  Reason,
  ReasonCode,
  ReasonRow,
} from "@shoal/core";
import { explanationText } from "../../src/cli/explain-screen.ts";

function reason<Code extends ReasonCode>(code: Code, facts: Partial<Reason> = {}): Reason<Code> {
  const { words, remedy }: ReasonRow = REASONS[code];
  return { ...facts, code, words, ...(remedy !== undefined && { remedy }) };
}

function share(source: ExplainedSource, code: PieceReason, bytes: number): ExplainedShare {
  return { ...reason(code), source, pieceCount: 1, bytes };
}

function peer(peerId: string, code: PeerReason, facts: Partial<ExplainedPeer> = {}): ExplainedPeer {
  const nothing = { isUsed: false, requestCount: 0, bytesPerSec: 0, pieceCount: 0, bytes: 0 };
  return { ...nothing, ...facts, ...reason(code), ...facts, code, peerId } as ExplainedPeer;
}

function file(facts: Partial<ExplainedFile>): ExplainedFile {
  return {
    destination: "/srv/disk.iso",
    phase: "fetching",
    length: 100 * MiB,
    transferredBytes: 0,
    integrity: "pieces",
    verdicts: [],
    shares: [],
    runs: [],
    runCount: 0,
    places: [],
    peers: [],
    peerCount: facts.peers?.length ?? 0,
    ...facts,
  };
}

function job(files: readonly ExplainedFile[], facts: Partial<JobExplanation> = {}): JobExplanation {
  const head = { jobId: "5f0c", displayName: "disk", state: "transferring" } as const;
  return { ...head, verdicts: [], policies: [], ...facts, files };
}

test("a job under way: the verdict first, then sources, peers, and what to do", () => {
  const text = explanationText(
    job([
      file({
        transferredBytes: 80 * MiB,
        verdicts: [reason("peersSlow", { peersBytesPerSec: 100_000, originBytesPerSec: 9 * MiB })],
        shares: [
          share({ kind: "origin", host: "files.lan" }, "peersSlow", 48 * MiB),
          share(
            { kind: "peer", peerId: "12D3KooWabcdefgh", address: "10.0.0.7" },
            "offered",
            32 * MiB,
          ),
        ],
        peers: [
          peer("12D3KooWabcdefgh", "asked", { isUsed: true }),
          peer("12D3KooWbaaaaaad", "banned", { detail: "corruptPiece", waitMs: 86_000_000 }),
          peer("12D3KooWfffffff1", "dialFailed", { detail: "ECONNREFUSED", waitMs: 5_000 }),
          peer("12D3KooWfffffff2", "dialFailed"),
        ],
      }),
    ]),
  );
  expect(text).toBe(`Job 5f0c (disk) is transferring.

disk.iso: 80.0 MiB of 100.0 MiB. 60 % from the origin, 40 % from peers: the origin is faster than all peers together.
  now
    the origin is faster than all peers together (peers 97.7 KiB/s; origin 9.0 MiB/s) [peersSlow]
  came from
      48.0 MiB  the origin files.lan: the origin is faster than all peers together [peersSlow]
      32.0 MiB  the peer …abcdefgh at 10.0.0.7: a peer had the piece and was asked for it [offered]
  peers not used (3 of 4 known)
    12D3KooWbaaaaaad (corruptPiece; for 23 h 53 min): it is banned for what it did [banned]
    …fffffff1 (ECONNREFUSED; for 5.0 s), …fffffff2: it cannot be reached [dialFailed]

What you can do
    Raise the upload limits of the peers, or find more of them.
    If it was a fault that is mended, lift the ban: shoal peers unban PEER.
    Check that its agent runs and that firewalls let its port through.
`);
});

test("a job that waits: for what, for how long, and the error", () => {
  const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "refused" } as const;
  const waits = { verdicts: [reason("waitsToRetry", { error, waitMs: 61_000 })] };
  const text = explanationText(job([file({})], { ...waits, state: "transientError", error }));
  expect(text).toBe(`Job 5f0c (disk) is transientError.
  it has failed in a way that may pass, and is tried again (ERR_ORIGIN_UNREACHABLE: refused; for 1 min 01 s more) [waitsToRetry]

disk.iso: 0 B of 100.0 MiB. Nothing is here yet.
`);
});

test("stays a screen: many sources, peers and files are counted, and their text is harmless (R-API-07)", () => {
  const shares = Array.from({ length: 30 }, (_, i) =>
    share({ kind: "peer", peerId: `peer-${i}`, address: "10.0.0.7" }, "offered", MiB),
  );
  const peers = Array.from({ length: 256 }, (_, i) =>
    peer(`peer-${i}`, "disconnected", { detail: `\u001b[2J${"x".repeat(300)}` }),
  );
  const files = Array.from({ length: 100 }, () => file({ shares, peers, peerCount: 900 }));
  const text = explanationText(job(files, { displayName: "\u202eevil" }));
  expect(text).toContain("… and 22 more (--json has all)");
  expect(text).toContain("peers not used (256 of 900 known)");
  expect(text).toContain(" and 253 more: the connection with it has ended [disconnected]");
  expect(text).toContain("… and 80 files more (--json has all).");
  expect(text).not.toContain("\u001b");
  expect(text).not.toContain("\u202e");
  expect(text.length).toBeLessThan(40_000);
});
