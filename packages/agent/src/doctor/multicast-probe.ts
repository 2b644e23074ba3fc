/**
 * Tries multicast on each interface of this machine: joins the group of multicast DNS, asks for a
 * name that nobody has, and waits to hear the question itself. What the kernel says of an interface
 * counts too, since a question is heard on one's own machine even where none gets out.
 *
 * Knows sockets and interfaces. Used by the doctor.
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import type { Millis } from "@shoal/core";

const GROUP = "224.0.0.251";
const PORT = 5_353;
const HEARD_TIMEOUT_MS: Millis = 1_500;
/** Of `/sys/class/net/NAME/flags`. */
const FLAG_MULTICAST = 0x1000;

export interface MulticastFinding {
  readonly name: string;
  readonly address: string;
  /** Why multicast does not work there, in words. */
  readonly problem?: string;
}

/** One finding for each interface with an IPv4 address, loopback excepted. Never rejects. */
export async function probeMulticast(): Promise<readonly MulticastFinding[]> {
  const places = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const found = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
    return found === undefined ? [] : [{ name, address: found.address }];
  });
  return await Promise.all(
    places.map(async ({ name, address }) => {
      const problem = (await flagProblem(name)) ?? (await echoProblem(address));
      return { name, address, ...(problem !== undefined && { problem }) };
    }),
  );
}

async function flagProblem(name: string): Promise<string | undefined> {
  const text = await readFile(`/sys/class/net/${name}/flags`, "utf8").catch(() => undefined);
  if (text === undefined || (Number(text) & FLAG_MULTICAST) !== 0) return undefined;
  return `multicast is turned off on ${name}`;
}

async function echoProblem(address: string): Promise<string | undefined> {
  const question = questionFor(randomBytes(8).toString("hex"));
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve("what is sent is not heard"), HEARD_TIMEOUT_MS);
  socket.on("error", ({ message }) => resolve(message));
  socket.on("message", (bytes) => bytes.equals(question) && resolve(undefined));
  socket.bind(PORT, () => {
    try {
      socket.addMembership(GROUP, address);
      socket.setMulticastInterface(address);
      socket.setMulticastLoopback(true);
      // As multicast DNS asks: it stays on the link.
      socket.setMulticastTTL(255);
      socket.send(question, PORT, GROUP, (error) => error && resolve(error.message));
    } catch (error) {
      resolve(error instanceof Error ? error.message : String(error));
    }
  });
  const problem = await promise;
  clearTimeout(timer);
  socket.close();
  return problem;
}

/** A DNS question for the pointers of `_shoal-NAME._udp.local`. */
function questionFor(name: string): Buffer {
  const labels = [`_shoal-${name}`, "_udp", "local"].map((label) =>
    Buffer.concat([Buffer.of(label.length), Buffer.from(label)]),
  );
  const head = Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const typePointerClassInternet = Buffer.from([0, 0, 12, 0, 1]);
  return Buffer.concat([head, ...labels, typePointerClassInternet]);
}
