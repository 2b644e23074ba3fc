/** Remembered peers in the database: replaced as a whole, checked, and never worth a run. */
import type { RememberedPeer } from "@shoal/core";
import { expect, test } from "vitest";
import { PeerRows } from "../src/peer-rows.ts";
import { StateDatabase } from "../src/state-database.ts";
import { temporaryDirectory } from "./harness.ts";

const peerOf = (peerId: string): RememberedPeer => ({
  peerId,
  addresses: ["/ip4/192.0.2.1/tcp/4001"],
  seenAt: 1_700_000_000_000,
});

function open() {
  const { database } = StateDatabase.open(temporaryDirectory(), { isClean: true });
  let doubts = 0;
  const rows = new PeerRows(database, () => doubts++);
  return { database, rows, doubts: () => doubts };
}

test("what is saved replaces what was saved before, in its order", () => {
  const { database, rows } = open();
  rows.save([peerOf("a"), peerOf("b")]);
  rows.save([peerOf("c"), peerOf("a")]);
  expect(rows.all()).toEqual([peerOf("c"), peerOf("a")]);
  database.close();
});

test("a damaged row is left out (R-DB-05)", () => {
  const { database, rows } = open();
  rows.save([peerOf("a")]);
  for (const text of ["{", "{}", JSON.stringify({ ...peerOf("b"), seenAt: "now" })]) {
    database.run("INSERT INTO peers (record) VALUES (?)", text);
  }
  expect(rows.all()).toEqual([peerOf("a")]);
  database.close();
});

test("what cannot be saved is told, and the run goes on", () => {
  const { database, rows, doubts } = open();
  database.close();
  rows.save([peerOf("a")]);
  expect(doubts()).toBe(1);
});
