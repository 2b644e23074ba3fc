/** How many connections to an origin the engine comes to use, in virtual time. */
import { MiB } from "@shoal/core";
import { isTransferred, makeSimContent, SimWorld } from "@shoal/sim";
import type { SimAgent, SimOriginServerOptions } from "@shoal/sim";
import { describe, expect, test } from "vitest";

const MB = 1_000_000;

/** One agent that fetches one content through the server, and what was seen of it. */
class Fetch {
  readonly world: SimWorld;
  readonly agent: SimAgent;
  readonly #lengthBytes: number;

  constructor(origin: SimOriginServerOptions, lengthBytes = 256 * MiB, connectionsMax = 4) {
    this.#lengthBytes = lengthBytes;
    const settings = { originConnectionsMax: connectionsMax };
    this.world = new SimWorld({ seed: 1, origin, settings });
    const rates = { upRateBytesPerSec: 1_000 * MB, downRateBytesPerSec: 1_000 * MB };
    this.agent = this.world.addAgent(rates);
    let isReady = false;
    this.agent.onNotice(({ type }) => {
      if (type === "ready") isReady = true;
    });
    this.agent.start();
    this.world.clock.runUntil(() => isReady, 1_000);
  }

  begin(name = "content.bin"): string {
    const url = `http://origin.example/${name}`;
    const lengthBytes = this.#lengthBytes;
    const content = makeSimContent({ lengthBytes, pieceLengthBytes: MiB, seed: name.length });
    const validator = { etag: '"1"' };
    const manifest = content.manifestBytes;
    this.world.server.setFile(url, { length: lengthBytes, validator, manifest });
    return this.world.download(this.agent, { content, url });
  }

  /** Seconds of virtual time until all bytes are here, and the requests under way meanwhile. */
  finish(jobId: string): { readonly seconds: number; readonly counts: readonly number[] } {
    const { clock } = this.world;
    const startedAt = clock.now();
    const counts: number[] = [];
    const isDone = (): boolean => isTransferred(this.agent.jobSnapshot(jobId));
    while (!isDone() && clock.now() - startedAt < 600_000) {
      clock.run(clock.now() + 50);
      counts.push(this.agent.jobSnapshot(jobId)?.files[0]?.originRequests ?? 0);
    }
    this.world.checkInvariants();
    if (!isDone()) throw new Error("the file has not come within 10 minutes");
    return { seconds: (clock.now() - startedAt) / 1_000, counts };
  }
}

function mean(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0) / counts.length;
}

describe("connections to an origin", () => {
  test("a server that limits each connection is used to the maximum within 2 s, three times as fast as one", () => {
    const origin = { rateBytesPerSec: 1_000 * MB, requestRateBytesPerSecMax: 20 * MB };
    const fetch = new Fetch(origin);
    const { seconds, counts } = fetch.finish(fetch.begin());
    const one = new Fetch(origin, 256 * MiB, 1);
    const alone = one.finish(one.begin()).seconds;
    const figures = `${seconds} s, one connection ${alone} s, ${counts.join(" ")}`;
    expect(alone / seconds, `${figures}`).toBeGreaterThan(3);
    expect(counts.indexOf(4), `${figures}`).toBeLessThan(2_000 / 50);
    expect(counts.indexOf(4), `${figures}`).toBeGreaterThan(0);
  });

  test("a server that limits nothing is left with about one connection, at the speed of many", () => {
    const fetch = new Fetch({ rateBytesPerSec: 80 * MiB }, 1_024 * MiB);
    const { seconds, counts } = fetch.finish(fetch.begin());
    const figures = `${seconds} s, ${counts.join(" ")}`;
    expect(mean(counts), `${figures}`).toBeLessThan(2);
    expect(seconds, `${figures}`).toBeLessThan(1.05 * (1_024 / 80));
  });

  test("what was best for a host is what the next file begins with", () => {
    const fetch = new Fetch({ rateBytesPerSec: 1_000 * MB, requestRateBytesPerSecMax: 20 * MB });
    fetch.finish(fetch.begin());
    const { counts } = fetch.finish(fetch.begin("next.bin"));
    expect(counts.indexOf(4), `${counts.join(" ")}`).toBeLessThan(300 / 50);
  });

  test("of sixteen connections through a slow server all come into use (R-HTTP-09)", () => {
    const origin = { rateBytesPerSec: 1_000 * MB, requestRateBytesPerSecMax: MB };
    const fetch = new Fetch(origin, 256 * MiB, 16);
    const { counts } = fetch.finish(fetch.begin());
    expect(Math.max(...counts), `${counts.join(" ")}`).toBe(16);
  });
});
