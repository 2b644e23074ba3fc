import { expect, test } from "vitest";
import { watchNetwork } from "../src/network-watch.ts";

const LOOPBACK = { internal: true };
const ADDRESS = { internal: false };

/** Watches a machine whose interfaces are as each word says at each look; returns the reports. */
function reportsOf(words: string): string {
  const looks = words.split(" ");
  const reports: string[] = [];
  let look = (): void => {};
  const stop = watchNetwork((isOnline) => reports.push(isOnline ? "online" : "offline"), {
    readInterfaces() {
      const word = looks.shift();
      if (word === "unknown") throw new Error("EPERM");
      const lan = word === "address" ? { lan: [ADDRESS] } : {};
      return { lo: [LOOPBACK], ...lan };
    },
    repeat(callback) {
      look = callback;
      return () => reports.push("stopped");
    },
  });
  while (looks.length > 0) look();
  stop();
  return reports.join(" ");
}

test.each([
  ["address address address", "stopped"],
  ["address none none address address none", "offline online offline stopped"],
  ["none none none", "stopped"],
  ["none address address", "stopped"],
  ["none address none address", "offline online stopped"],
  ["address unknown address", "stopped"],
  ["address unknown none unknown address", "offline online stopped"],
  ["unknown none address none", "offline stopped"],
])("a machine that has %s: %s", (looks, reports) => {
  expect(reportsOf(looks)).toBe(reports);
});

test("watching the real network keeps no process alive and ends when it is told to", () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const stop = watchNetwork(() => {});
  expect(timers()).toBe(before);
  stop();
  expect(timers()).toBe(before);
});
