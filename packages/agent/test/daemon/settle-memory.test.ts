import { expect, test } from "vitest";
import { settleMemory } from "../../src/daemon/settle-memory.ts";

test("collects once, thoroughly, where the collector is to be had", () => {
  const asked: unknown[] = [];
  settleMemory({ gc: (options) => void asked.push(options) });
  expect(asked).toEqual([{ type: "major", execution: "sync", flavor: "last-resort" }]);
  settleMemory({});
});
