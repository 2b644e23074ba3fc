/** Discovery on the local network, on a port and with a tag of the test's own. */
import { createSocket } from "node:dgram";
import { randomInt, randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { TestSwarm } from "./test-swarm.ts";

/** Whether a multicast datagram sent here comes back. */
async function multicastWorks(port: number): Promise<boolean> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), 1_000);
  socket.on("error", () => resolve(false));
  socket.on("message", () => resolve(true));
  socket.bind(port, () => {
    try {
      socket.addMembership("224.0.0.251");
      socket.setMulticastLoopback(true);
      socket.send("?", port, "224.0.0.251", (error) => error !== null && resolve(false));
    } catch {
      resolve(false);
    }
  });
  const works = await promise;
  clearTimeout(timer);
  socket.close();
  return works;
}

test("two agents with the same tag see each other, and dial nobody", async ({ skip }) => {
  const port = randomInt(20_000, 60_000);
  if (!(await multicastWorks(port))) skip("multicast does not work on this machine");
  const mdns = { port, serviceTag: `_${randomUUID().slice(0, 8)}._udp.local`, interval: 300 };
  const stranger = { ...mdns, serviceTag: "_other._udp.local" };
  const [a, b, c] = await Promise.all([
    TestSwarm.start({ mdns }),
    TestSwarm.start({ mdns }),
    TestSwarm.start({ mdns: stranger }),
  ]);
  const seen = await a.next("peerDiscovered");
  expect(seen).toMatchObject({ peerId: b.peerId, isStatic: false });
  expect(seen.addresses.map((address) => `${address}/p2p/${b.peerId}`)).toEqual(b.swarm.addresses);
  expect((await b.next("peerDiscovered")).peerId).toBe(a.peerId);
  expect(c.events).toEqual([]);
  expect([...a.events, ...b.events].filter(({ type }) => type !== "peerDiscovered")).toEqual([]);
  a.dial({ peerId: b.peerId, addresses: seen.addresses });
  await b.next("peerConnected");
});
