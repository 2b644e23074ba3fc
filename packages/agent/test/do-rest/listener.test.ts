import { createServer } from "node:net";
import { LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { DO_REST_PORTS, RestListener } from "../../src/do-rest/listener.ts";
import {
  DO_REST_CONFIG_DIRECTORY,
  DO_REST_RUN_DIRECTORY,
} from "../../src/do-rest/start-do-rest.ts";

const deps = {
  handle: () => Promise.resolve(Buffer.alloc(0)),
  onFault: (error: unknown): void => {
    throw error;
  },
};

test("the defaults are those of an installed agent", () => {
  expect(DO_REST_PORTS).toEqual({ first: 50_000, last: 60_999 });
  expect(DO_REST_RUN_DIRECTORY).toBe("/var/run/deliveryoptimization-agent");
  expect(DO_REST_CONFIG_DIRECTORY).toBe("/etc/deliveryoptimization-agent");
  const { doRestRequestBytesMax, doRestResponseBytesMax } = LIMITS;
  expect([doRestRequestBytesMax, doRestResponseBytesMax]).toEqual([2_048, 2_048]);
});

test("a listener takes the next port when one is in use", async () => {
  const first = await RestListener.open(deps);
  const ports = { first: first.port, last: DO_REST_PORTS.last };
  const second = await RestListener.open(deps, { ports });
  expect(second.port).toBeGreaterThan(first.port);
  await Promise.all([first.close(), second.close()]);
});

test("two thousand busy ports are passed within 2 s", async () => {
  const servers = Array.from({ length: 2_000 }, (_, i) => {
    // Some of them others have, which is as good.
    const server = createServer().on("error", () => {});
    return server.listen({ host: "127.0.0.1", port: 50_000 + i, exclusive: true });
  });
  await new Promise((resolve) => setImmediate(resolve));
  const beganAt = performance.now();
  const listener = await RestListener.open(deps);
  expect(performance.now() - beganAt).toBeLessThan(2_000);
  expect(listener.port).toBeGreaterThanOrEqual(52_000);
  await listener.close();
  for (const server of servers) server.close();
});

test("a port that may not be had for another reason ends the search", async () => {
  const ports = { first: 65_536, last: 65_537 };
  await expect(RestListener.open(deps, { ports })).rejects.toThrow("port");
});
