/** What is remembered of signed manifests. */
import { LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { AcceptedRows } from "../src/accepted-rows.ts";
import { prepareStateDirectory } from "../src/state-directory.ts";
import { StateDatabase } from "../src/state-database.ts";
import { openTestStore, temporaryDirectory } from "./harness.ts";

const TERMS = { product: "p", sequence: 2 ** 53 - 1, issuedAt: 5, contentId: "c" };
const ITEM = { keyId: "ab", hasSigned: true, ...TERMS };

test("accepted manifests are there after a restart, the one saved last at the end (R-MAN-06)", async () => {
  const state = temporaryDirectory();
  const store = await openTestStore(state);
  const other = { ...ITEM, product: "other", hasSigned: false };
  await store.do({ type: "saveAccepted", accepted: [ITEM, other] });
  await store.do({ type: "saveAccepted", accepted: [{ ...ITEM, contentId: "d" }] });
  await store.close();
  const second = await openTestStore(state);
  await second.do({ type: "loadState" });
  const { accepted } = await second.events.next("stateLoaded");
  expect(accepted).toEqual([other, { ...ITEM, contentId: "d" }]);
  await second.close();
});

test("of too many the earliest are forgotten, and what is damaged is left out (R-DB-05)", () => {
  const state = temporaryDirectory();
  prepareStateDirectory(state);
  const { database } = StateDatabase.open(state, { isClean: true });
  const rows = new AcceptedRows(database, () => {
    throw new Error("it cannot be written");
  });
  const many = Array.from({ length: LIMITS.acceptedManifestsMax + 2 }, (_, sequence) => {
    return { ...ITEM, product: `p${sequence}`, sequence };
  });
  rows.save(many);
  expect(rows.all()).toEqual(many.slice(2));
  database.run("UPDATE accepted SET sequence = -1 WHERE product = 'p2'");
  expect(rows.all()).toEqual(many.slice(3));
  database.close();
});
