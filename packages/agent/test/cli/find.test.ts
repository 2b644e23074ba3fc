/** How commands find what a user names: agents, jobs, and names that are nearly right. */
import type { JobSummary } from "@shoal/core";
import { expect, test } from "vitest";
import { agentPlaces } from "../../src/cli/find-agent.ts";
import { findJob } from "../../src/cli/find-job.ts";
import { nearestName } from "../../src/cli/nearest-name.ts";

test.each<[object, Record<string, string>, readonly string[]]>([
  [{ socket: "/s" }, { SHOAL_SOCKET: "/e" }, ["/s"]],
  [{}, { SHOAL_SOCKET: "/e", XDG_RUNTIME_DIR: "/run/user/7" }, ["/e"]],
  [
    {},
    { XDG_RUNTIME_DIR: "/run/user/7", HOME: "/home/u" },
    ["/run/user/7/shoal/agent.sock", "/run/shoal/agent.sock"],
  ],
  [
    {},
    { SHOAL_SOCKET: "", XDG_RUNTIME_DIR: "relative", HOME: "/home/u" },
    ["/home/u/.local/state/shoal/agent.sock", "/run/shoal/agent.sock"],
  ],
])("looks for an agent, given %o and %o, at %o", (options, env, places) => {
  expect(agentPlaces(options, env)).toEqual(places);
});

const JOBS = [
  { jobId: "5f0c-1", displayName: "disk.iso", state: "acknowledged" },
  { jobId: "5f0d-2", displayName: "disk.iso", state: "suspended" },
  { jobId: "77aa-3", displayName: "5f0c-1", state: "queued" },
  { jobId: "88bb-4", displayName: "twice", state: "queued" },
  { jobId: "99cc-5", displayName: "twice", state: "queued" },
] as unknown as readonly JobSummary[];

test.each([
  ["5f0c-1", "5f0c-1"],
  ["5f0d", "5f0d-2"],
  ["5F0D", "5f0d-2"],
  ["disk.iso", "5f0d-2"],
  ["88bb-4", "88bb-4"],
])("by %s means the job %s", (text, jobId) => {
  expect(findJob(JOBS, text).jobId).toBe(jobId);
});

test.each([
  ["5f0", "could be 5f0c-1, 5f0d-2"],
  ["twice", "could be 88bb-4, 99cc-5"],
  ["none", "There is no such job"],
  ["", "There is no such job"],
])("by %j means no one job", (text, words) => {
  expect(() => findJob(JOBS, text)).toThrow(words);
});

test.each([
  ["shwo", "show"],
  ["prio", "priority"],
  ["cancle", "cancel"],
  ["frobnicate", undefined],
  ["x", undefined],
])("takes %s for %s", (word, name) => {
  expect(nearestName(word, ["show", "suspend", "cancel", "priority", "watch"])).toBe(name);
});
