/**
 * The doctor's checks of the network: ports that peers reach, multicast, proxies, and the origins
 * of recent jobs.
 */
import { connect, createServer, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Millis } from "@shoal/core";
import { formatCount } from "../cli/format-values.ts";
import { fail, notApplicable, pass, warn } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";
import { probeMulticast } from "./multicast-probe.ts";
import { ORIGIN_CHECK_TIMEOUT_MS } from "./origin-looks.ts";
import type { NamedOrigin } from "./origin-looks.ts";

const CONNECT_TIMEOUT_MS: Millis = 2_000;

export const NETWORK_CHECKS: readonly Check[] = [
  { id: "network.ports", title: "Port for peers", run: checkPorts },
  { id: "network.multicast", title: "Multicast", run: checkMulticast },
  { id: "network.proxy", title: "Proxy", run: checkProxy },
  {
    id: "network.origins",
    title: "Origins of recent jobs",
    timeoutMs: ORIGIN_CHECK_TIMEOUT_MS,
    run: async ({ origins, originOptions }) =>
      judgeOrigins(await origins(), { hasProxy: hasProxy(originOptions) }),
  },
];

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Of `/ip4/HOST/tcp/PORT…` and `/ip6/…`. */
export function placeOf(multiaddr: string): Place | undefined {
  const [, host, port] = /^\/ip[46]\/([\da-fA-F.:]+)\/tcp\/(\d+)/.exec(multiaddr) ?? [];
  return host === undefined ? undefined : { host, port: Number(port) };
}

async function checkPorts(context: DoctorContext): Promise<Outcome> {
  if (context.service === undefined) return await checkFreePorts(context.listen);
  const { addresses } = await context.service.facts();
  const places = addresses.flatMap((address) => placeOf(address) ?? []);
  if (places.length === 0) {
    const { peering } = await context.service.configuration();
    if (peering.partners !== "none") {
      return warn("The agent has no listener: peers cannot connect to it.", "Give it --listen.");
    }
    return notApplicable("The agent takes no peers.", "See below what keeps it from peers.");
  }
  const refused = await Promise.all(
    places.map(async (place) => ({ ...place, code: await connectCode(place) })),
  );
  const first = refused.find(({ code }) => code !== undefined);
  if (first === undefined) return await reachable(context, places);
  const { host, port, code } = first;
  if (code === "ECONNREFUSED") {
    const words = `Nobody listens at ${host}:${port} any more.`;
    return fail(words, "Start the agent again.", { port });
  }
  const words = `Port ${port} is blocked: ${host}:${port} does not answer (${code}).`;
  return fail(words, `Let TCP port ${port} in through the firewall of this machine.`, { port });
}

async function reachable({ service }: DoctorContext, places: readonly Place[]): Promise<Outcome> {
  const peers = (await service?.peers()) ?? [];
  const inboundCount = peers.filter(({ foundBy }) => foundBy === "inbound").length;
  const ports = [...new Set(places.map(({ port }) => port))].join(", ");
  const heard =
    inboundCount === 0
      ? "From other machines nobody has connected yet."
      : `${formatCount(inboundCount, "peer")} connected from elsewhere.`;
  return pass(`This machine's own addresses answer at port ${ports}. ${heard}`, { inboundCount });
}

/** Without an agent its ports must be free. */
async function checkFreePorts(listen: readonly string[]): Promise<Outcome> {
  const places = listen.flatMap((address) => placeOf(address) ?? []).filter(({ port }) => port > 0);
  if (places.length === 0) {
    return notApplicable("An agent takes any free port.", "Name one with --listen for a firewall.");
  }
  for (const { host, port } of places) {
    const code = await listenCode({ host, port });
    if (code === undefined) continue;
    const isTaken = code === "EADDRINUSE";
    const words = isTaken ? "is in use by another program" : `cannot be listened on (${code})`;
    const remedy = isTaken ? `See who has it (ss -ltnp), or use another` : "Use another";
    return fail(`Port ${port} of ${host} ${words}.`, `${remedy}: --listen.`, { port });
  }
  return pass(`Port ${places.map(({ port }) => port).join(", ")} is free.`);
}

function listenCode({ host, port }: Place): Promise<string | undefined> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  server.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  return promise;
}

/** The system's name for why no connection comes about; `undefined`: one did. */
export function connectCode(place: Place): Promise<string | undefined> {
  const socket = connect({ ...place });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve("ETIMEDOUT"), CONNECT_TIMEOUT_MS);
  socket.on("connect", () => resolve(undefined));
  socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

async function checkMulticast({ mdns, service }: DoctorContext): Promise<Outcome> {
  if (!mdns) {
    return notApplicable("Looking for peers on the LAN is turned off.", "Start without --no-mdns.");
  }
  if ((await service?.configuration())?.peering.partners === "none") {
    return notApplicable("The agent takes no peers.", "See below what keeps it from peers.");
  }
  const findings = await probeMulticast();
  const found = (await service?.peers())?.filter(({ foundBy }) => foundBy === "mdns").length;
  const facts = { ...(found !== undefined && { peersFound: found }) };
  if (findings.length === 0) {
    const isAlone = Object.values(networkInterfaces())
      .flat()
      .every((address) => address?.internal === true || !isIPv4(address?.address ?? ""));
    const words = isAlone ? "No interface has an IPv4 address." : "No interface can be tried.";
    return warn(words, "Connect this machine to a network, or name peers with --peer.", facts);
  }
  const bad = findings.flatMap(({ name, problem }) => (problem ? [{ name, problem }] : []));
  const names = bad.map(({ name }) => name);
  const words = bad.map(({ name, problem }) => `${name}: ${problem}`).join("; ");
  const remedy =
    `Turn it on (ip link set ${names[0] ?? "NAME"} multicast on), let UDP port 5353 through the ` +
    "firewall, or name peers with --peer.";
  if (bad.length === findings.length) {
    return fail(`Peers on the LAN cannot be found: ${words}.`, remedy, facts);
  }
  if (bad.length > 0) return warn(`Peers are not found everywhere: ${words}.`, remedy, facts);
  const where = findings.map(({ name }) => name).join(", ");
  const seen = found === undefined ? "" : ` ${formatCount(found, "peer")} found by it.`;
  return pass(`What is sent on ${where} is heard.${seen}`, facts);
}

function hasProxy({ proxy }: DoctorContext["originOptions"]): boolean {
  return (proxy?.http ?? "") !== "" || (proxy?.https ?? "") !== "";
}

async function checkProxy({ originOptions }: DoctorContext): Promise<Outcome> {
  const { http, https, noProxy } = originOptions.proxy ?? {};
  const texts = [...new Set([http, https])].filter((text) => text !== undefined && text !== "");
  if (texts.length === 0) {
    return notApplicable("Origins are reached directly.", "Set httpProxy, if there must be one.");
  }
  const places = texts.map(proxyPlace);
  const except = noProxy === undefined || noProxy === "" ? "" : ` Direct: ${noProxy}.`;
  for (const place of places) {
    if (place === undefined) return fail("The proxy's URL is none.", "Mend httpProxy, httpsProxy.");
    const code = await connectCode(place);
    if (code === undefined) continue;
    const words = `The proxy ${place.host}:${place.port} does not answer (${code}).`;
    const remedy = "Start it, correct httpProxy and httpsProxy, or list the origins in noProxy.";
    return fail(`${words}${except}`, remedy);
  }
  const names = places.flatMap((place) => (place ? [`${place.host}:${place.port}`] : []));
  return pass(`The proxy ${names.join(", ")} answers.${except}`);
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

function proxyPlace(text = ""): Place | undefined {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null) return undefined;
  const port = url.port === "" ? (DEFAULT_PORTS[url.protocol] ?? 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port };
}

/** A server that answers at all is reachable, whatever it thinks of a URL without its query. */
export function judgeOrigins(
  origins: readonly NamedOrigin[],
  { hasProxy: isProxied }: { readonly hasProxy: boolean },
): Outcome {
  if (origins.length === 0) {
    return notApplicable("No job has named an origin yet.", "Name one: shoal doctor --origin URL.");
  }
  const silent = origins.filter(({ look }) => look.status === undefined);
  const facts = { askedCount: origins.length, silentCount: silent.length };
  const [first] = silent;
  if (first !== undefined) {
    const { place, look } = first;
    const why = look.error?.message ?? "The origin did not answer in time";
    const others = silent.length === 1 ? "" : ` (and ${silent.length - 1} more)`;
    const remedy = isProxied
      ? "Check that the server runs, that names resolve, and the proxy and its exceptions."
      : "Check that the server runs, that its name resolves, and whether a proxy is needed.";
    return fail(`${place} cannot be reached${others}: ${why}.`, remedy, facts);
  }
  const failing = origins.find(({ look }) => (look.status ?? 0) >= 500 || look.status === 407);
  if (failing !== undefined) {
    const words = `${failing.place} answers with status ${failing.look.status}.`;
    return warn(words, "Look at the server, or at the proxy before it.", facts);
  }
  const slowestMs = Math.max(...origins.map(({ look }) => look.elapsedMs));
  const words = `${formatCount(origins.length, "origin")} answered within ${slowestMs} ms.`;
  return pass(words, { ...facts, slowestMs });
}
