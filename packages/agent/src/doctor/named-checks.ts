/**
 * The doctor's checks that the command runs itself: configuration files as its user sees them, and
 * the origins and peers that the user names.
 */
import type { Millis } from "@shoal/core";
import { setTimeout as wait } from "node:timers/promises";
import { formatCount } from "../cli/format-values.ts";
import { reportConfig } from "../config/config-report.ts";
import { loadConfig, readConfigFiles } from "../config/load-config.ts";
import type { ConfigRequest } from "../config/load-config.ts";
import type { AgentService, PeerStatus } from "../service/agent-service.ts";
import { fail, pass, warn } from "./check.ts";
import type { Check, Outcome } from "./check.ts";
import { connectCode, judgeOrigins, placeOf } from "./network-checks.ts";
import { lookAtOrigins, ORIGIN_CHECK_TIMEOUT_MS } from "./origin-looks.ts";

const PEER_TIMEOUT_MS: Millis = 8_000;
const POLL_INTERVAL_MS: Millis = 200;

/** Files and environment, as an agent of this user would read them. */
export function configurationCheck(request: ConfigRequest): Check {
  const run = async (): Promise<Outcome> => {
    const remedy = "Mend the place it names; shoal config keys lists what is possible.";
    try {
      const files = await readConfigFiles(request);
      const [first, ...others] = files.flatMap(({ problems }) => problems);
      if (first !== undefined) {
        const more = others.length === 0 ? "" : ` (and ${others.length} more: shoal config check)`;
        return fail(`${first}${more}.`, remedy);
      }
      reportConfig(await loadConfig(request));
      const paths = files.map(({ path }) => path).join(", ");
      if (files.length === 0) return pass("There is no file, so everything has its default.");
      return pass(`${formatCount(files.length, "file")} without a mistake: ${paths}.`);
    } catch (error) {
      return fail(`${error instanceof Error ? error.message : String(error)}.`, remedy);
    }
  };
  return { id: "agent.configuration", title: "Configuration", run };
}

/** Asked from here, in the way that the configuration says. */
export function namedOriginsCheck(urls: readonly string[]): Check {
  return {
    id: "network.namedOrigins",
    title: "Origins you named",
    timeoutMs: ORIGIN_CHECK_TIMEOUT_MS,
    run: async ({ originOptions }) => {
      const { proxy } = originOptions;
      const hasProxy = (proxy?.http ?? proxy?.https) !== undefined;
      const looks = await lookAtOrigins(urls, originOptions);
      if (looks.length > 0) return judgeOrigins(looks, { hasProxy });
      return fail("What was named is no http: or https: URL.", "Write it whole: https://…");
    },
  };
}

/** Has the agent connect with the peer; without one, sees whether anybody listens there. */
export function namedPeerCheck(multiaddr: string): Check {
  return {
    id: "peers.named",
    title: "Peer you named",
    timeoutMs: PEER_TIMEOUT_MS + 1_000,
    run: async ({ service }, signal) => {
      if (service !== undefined) return await meet(service, { multiaddr, signal });
      const place = placeOf(multiaddr);
      if (place === undefined) return fail(`${multiaddr} is no address of a peer.`, ADDRESS_REMEDY);
      const code = await connectCode(place);
      const remedy = "Check that its agent runs and that firewalls let its port through.";
      if (code !== undefined) return fail(`${multiaddr} does not answer (${code}).`, remedy);
      return pass(`Somebody listens at ${place.host}:${place.port}; only an agent can say who.`);
    },
  };
}

const ADDRESS_REMEDY = "Copy it from shoal agent or shoal status: /ip4/…/tcp/…/p2p/….";

async function meet(
  service: AgentService,
  { multiaddr, signal }: { readonly multiaddr: string; readonly signal: AbortSignal },
): Promise<Outcome> {
  const peerId = /\/p2p\/(\w+)$/.exec(multiaddr)?.[1];
  try {
    await service.addPeer(multiaddr);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    return fail(`${words}.`, ADDRESS_REMEDY);
  }
  const deadlineAt = performance.now() + PEER_TIMEOUT_MS;
  let peer: PeerStatus | undefined;
  while (performance.now() < deadlineAt) {
    peer = (await service.peers()).find((one) => one.peerId === peerId);
    if (peer?.state === "connected") {
      return pass(`The agent is connected with it, by ${peer.transport ?? "an open connection"}.`);
    }
    if (peer?.reason?.code === "dialFailed" || peer?.state === "refused") break;
    await wait(POLL_INTERVAL_MS, undefined, { signal });
  }
  const { words = "it is being dialled still", remedy } = peer?.reason ?? {};
  const usual = "Check that its agent runs and that firewalls let its port through.";
  const outcome = peer?.reason === undefined ? warn : fail;
  return outcome(`The agent is not connected with it: ${words}.`, remedy ?? usual);
}
