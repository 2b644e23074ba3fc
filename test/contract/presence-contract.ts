/**
 * The part of the swarm port's contract that needs more than two agents: `publishPresence` and
 * `presenceHeard` (core `ports/swarm-port.ts`). The harness provides three agents that can reach
 * each other, do not know it yet, and are of one group; `stranger` is of none of them.
 */
import { contentIdFromDigest } from "@shoal/core";
import type { ContentId, PresenceRole } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SwarmAgent } from "./swarm-contract.ts";

export interface PresenceHarness<Payload> {
  readonly a: SwarmAgent<Payload>;
  readonly b: SwarmAgent<Payload>;
  readonly c: SwarmAgent<Payload>;
  /** An agent that no presence of the others may reach; none where there are no groups. */
  readonly stranger?: SwarmAgent<Payload>;
  /** Lets a little time pass. */
  pause(): Promise<void>;
}

const CONTENT = contentIdFromDigest(new Uint8Array(32).fill(1));
const OTHER = contentIdFromDigest(new Uint8Array(32).fill(2));
const PROBE = contentIdFromDigest(new Uint8Array(32).fill(3));
const PROBES_MAX = 50;

export function describePresenceContract<Payload>(
  name: string,
  open: () => Promise<PresenceHarness<Payload>>,
): void {
  describe(`presence, ${name}`, () => {
    type Agent = SwarmAgent<Payload>;
    let harness: PresenceHarness<Payload>;
    let a: Agent;
    let b: Agent;
    let c: Agent;

    beforeEach(async () => {
      harness = await open();
      ({ a, b, c } = harness);
    });

    afterEach(async () => {
      const { stranger } = harness;
      await Promise.all([a, b, c, ...(stranger ? [stranger] : [])].map(({ port }) => port.close()));
    });

    const connect = async (from: Agent, to: Agent): Promise<void> => {
      const { peerId, addresses } = to;
      from.port.execute({ type: "dialPeer", peerId, addresses });
      await from.log.until("peerConnected", { peerId });
      await to.log.until("peerConnected", { peerId: from.peerId });
    };
    const publish = (agent: Agent, role: PresenceRole, contentId: ContentId = CONTENT): void =>
      agent.port.execute({ type: "publishPresence", contentId, role });
    /** All that an agent has heard, but for the probes. */
    const allHeard = (by: Agent) =>
      by.log.all("presenceHeard").filter(({ contentId }) => contentId !== PROBE);
    const heard = (by: Agent, of: Agent, role: PresenceRole, contentId: ContentId = CONTENT) =>
      by.log.until("presenceHeard", { peerId: of.peerId, role, contentId });

    /**
     * a – b – c, until each has heard the others once: what is published before that may be lost,
     * which is why core publishes again.
     */
    const connectLine = async (): Promise<void> => {
      await connect(a, b);
      await connect(b, c);
      const agents = [a, b, c];
      const hasHeard = (by: Agent): boolean =>
        new Set(by.log.all("presenceHeard").map(({ peerId }) => peerId)).size === 2;
      for (let i = 0; i < PROBES_MAX && !agents.every(hasHeard); i++) {
        for (const agent of agents) publish(agent, "fetching", PROBE);
        await harness.pause();
      }
      expect(agents.map(hasHeard)).toEqual([true, true, true]);
      for (const agent of agents) publish(agent, "left", PROBE);
    };

    it("reaches members that are no neighbours, over one that takes no part", async () => {
      await connectLine();
      publish(a, "fetching");
      publish(c, "holding");
      const event = await heard(a, c, "holding");
      expect(event.addresses.length).toBeGreaterThan(0);
      const [address] = c.addresses;
      expect(event.addresses.some((hint) => address?.startsWith(hint))).toBe(true);
      await heard(c, a, "fetching");
      expect(allHeard(b)).toEqual([]);
      expect(a.log.all("peerConnected")).toHaveLength(1);
    });

    it("is not lost when nobody is connected yet, and then is the latest", async () => {
      publish(a, "fetching");
      publish(c, "fetching");
      publish(c, "holding");
      await connect(a, c);
      await heard(a, c, "holding");
      await heard(c, a, "fetching");
      expect(allHeard(a)).toHaveLength(1);
    });

    it("is not echoed to who published it, and comes once", async () => {
      await connectLine();
      await connect(a, c);
      for (const agent of [a, b, c]) publish(agent, "holding");
      for (const by of [a, b, c])
        for (const of of [a, b, c]) if (by !== of) await heard(by, of, "holding");
      publish(a, "fetching");
      await heard(b, a, "fetching");
      await heard(c, a, "fetching");
      for (const agent of [a, b, c]) {
        const peers = allHeard(agent).map(({ peerId }) => peerId);
        expect(peers).not.toContain(agent.peerId);
        expect(peers).toHaveLength(agent === a ? 2 : 3);
      }
    });

    it("tells that somebody has left, and nothing to those who have", async () => {
      await connectLine();
      publish(a, "fetching");
      publish(c, "holding");
      await heard(a, c, "holding");
      publish(c, "left");
      await heard(a, c, "left");
      publish(a, "holding");
      publish(a, "fetching", OTHER);
      publish(c, "fetching", OTHER);
      await heard(c, a, "fetching", OTHER);
      const ofContent = allHeard(c).filter((event) => event.contentId === CONTENT);
      expect(ofContent.filter(({ role }) => role === "holding")).toEqual([]);
    });

    it("tells of a content only those who have published presence in it", async () => {
      await connectLine();
      publish(c, "holding", OTHER);
      publish(a, "fetching");
      publish(c, "holding");
      await heard(a, c, "holding");
      expect(allHeard(a)).toHaveLength(1);
    });

    it("does not reach another group (R-GRP-05)", async ({ skip }) => {
      const { stranger } = harness;
      if (stranger === undefined) return skip("there are no groups");
      const { peerId, addresses } = stranger;
      b.port.execute({ type: "dialPeer", peerId, addresses });
      await connectLine();
      publish(stranger, "fetching");
      publish(a, "fetching");
      publish(c, "holding");
      await heard(a, c, "holding");
      await b.log.until("dialFailed", { peerId });
      expect(stranger.log.events).toEqual([]);
    });
  });
}
