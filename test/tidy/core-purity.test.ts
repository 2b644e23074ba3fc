import { expect, test } from "vitest";
import { checkCorePurity } from "./checks/core-purity.ts";
import { checkLibraryManners } from "./checks/library-manners.ts";
import { checkSchedulerCallers } from "./checks/scheduler-callers.ts";
import { source } from "./sources.ts";

function findIn(text: string, path = "packages/core/src/a.ts"): readonly string[] {
  return checkCorePurity([source(path, text)]);
}

test.each([
  ["async function f() {}"],
  ["const f = async () => 1;"],
  ["class A { async f() {} }"],
  ["async function* f() {}"],
  ["await x;"],
  ["for await (const x of y) f(x);"],
  ["const x = Promise.resolve();"],
  ["function f(): Promise<void> { return g(); }"],
  ["const now = Date.now();"],
  ["const now = new Date();"],
  ["const now = performance.now();"],
  ["setTimeout(f, 1);"],
  ["queueMicrotask(f);"],
  ["const x = Math.random();"],
  ['const x = Math["random"]();'],
  ["const { random } = Math;"],
  ["const x = crypto.randomUUID();"],
  ["const x = process.hrtime();"],
  ["console.log(1);"],
  ["const x = globalThis.Date;"],
  ["const clock = { Date };"],
  ["const clock = { now: Date };"],
  ["const x = import.meta.url;"],
  ["fetch(url);"],
  ["a.localeCompare(b);"],
  ["a?.toLocaleString();"],
  ['import fs from "node:fs";'],
  ['import { randomBytes } from "node:crypto";'],
  ['import "undici";'],
  ['const x = import("multiformats/cid");'],
])("refuses in core: %s", (text) => {
  expect(findIn(text).length).toBeGreaterThan(0);
});

test.each([
  ["export function handle(event: Event, now: Millis): void {}"],
  ["const x = Math.max(1, 2);"],
  ["const x = a.process.console;"],
  ["const row = { Date: 1, fetch: 2 };"],
  ["class A { process(): void {} }"],
  ['import { CID } from "multiformats/cid";'],
  ['import { x } from "./b.ts";'],
  ["// Date.now() and Math.random() are not for us\nconst text = 'await fetch';"],
])("accepts in core: %s", (text) => {
  expect(findIn(text)).toEqual([]);
});

test("says where and why", () => {
  expect(findIn("\n\nconst now = Date.now();")).toEqual([
    "packages/core/src/a.ts:3: Date reads a clock",
  ]);
});

test("accepts the named functions of node:crypto, in core's hash folder alone", () => {
  const digest = 'import { createHash, hash } from "node:crypto";';
  expect(findIn(digest, "packages/core/src/hash/digest.ts")).toEqual([]);
  expect(findIn(digest, "packages/core/src/picker/picker.ts")).toHaveLength(1);
  const signature = 'import { createPublicKey, verify } from "node:crypto";';
  expect(findIn(signature, "packages/core/src/hash/ed25519.ts")).toEqual([]);
  for (const text of [
    'import { hash, randomBytes } from "node:crypto";',
    'import { sign } from "node:crypto";',
    'import crypto from "node:crypto";',
    'import * as everything from "node:crypto";',
  ]) {
    expect(findIn(text, "packages/core/src/hash/digest.ts").length).toBeGreaterThan(0);
  }
});

test("accepts Node's buffers where bytes are copied, and nowhere else", () => {
  const text = "Buffer.from(a).copy(b);";
  expect(findIn(text, "packages/core/src/content/copy-into.ts")).toEqual([]);
  expect(findIn(text, "packages/core/src/content/piece-buffer-pool.ts")).toHaveLength(1);
});

test("accepts promises as types of ports, and refuses them as values", () => {
  const path = "packages/core/src/ports/port.ts";
  expect(findIn("interface Port { close(): Promise<void>; }", path)).toEqual([]);
  expect(findIn("const x = Promise.resolve();", path)).toHaveLength(1);
});

test("leaves other packages and core's tests alone", () => {
  expect(findIn("await f(Date.now());", "packages/store/src/a.ts")).toEqual([]);
  expect(findIn("await f(Date.now());", "packages/core/test/a.test.ts")).toEqual([]);
});

test.each([
  ["scheduler.handle(event, now);"],
  ["this.#scheduler.pollCommand();"],
  ["this.scheduler?.pollDeadline();"],
  ['parts.scheduler["handleTimeout"](now);'],
  ["const poll = scheduler.pollCommand;"],
  ["jobScheduler.handle(event, now);"],
])("refuses outside the loop: %s", (text) => {
  const check = (path: string): readonly string[] => checkSchedulerCallers([source(path, text)]);
  expect(check("packages/sim/src/a.ts")).toHaveLength(1);
  expect(check("packages/engine/src/other.ts")).toHaveLength(1);
  expect(check("test/simulation/a.test.ts")).toHaveLength(1);
  expect(check("packages/engine/src/loop.ts")).toEqual([]);
  expect(check("packages/core/test/a.test.ts")).toEqual([]);
});

test("accepts the scheduler's verbs and other machines' methods outside the loop", () => {
  const text = "scheduler.snapshot(); picker.handle(event); loop.handle(event);";
  expect(checkSchedulerCallers([source("packages/jobs/src/a.ts", text)])).toEqual([]);
});

test.each([
  ["console.log(1);"],
  ["const home = process.env.HOME;"],
  ["process.exit(1);"],
  ["process.on('SIGINT', f);"],
  ["process.stdout.write('x');"],
  ['import { env } from "node:process";'],
  ['import { spawn } from "node:child_process"; // R-FS-16'],
])("refuses in a library: %s", (text) => {
  expect(checkLibraryManners([source("packages/store/src/a.ts", text)])).toHaveLength(1);
  expect(checkLibraryManners([source("packages/agent/src/main.ts", text)])).toEqual([]);
});

test("accepts that a library asks which machine it is on", () => {
  const text = 'const isWindows = process.platform === "win32";';
  expect(checkLibraryManners([source("packages/store/src/a.ts", text)])).toEqual([]);
});
